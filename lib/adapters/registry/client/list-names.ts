import * as v from 'valibot';
import type { Scope } from '../auth/index.ts';
import { RegistryError } from '../errors/index.ts';
import { drop, headerOf } from '../http/index.ts';
import type { Send } from '../transport/index.ts';

/** A paginated list: the tags of a repository, or the repositories of a registry. */
export interface ListRequest {
  /** The first page, without its query. */
  readonly url: URL;
  readonly scopes: readonly Scope[];
  /** The field of the response with the names. */
  readonly field: 'tags' | 'repositories';
  readonly isName: (name: string) => boolean;
  readonly step: string;
}

/** ECR rejects more than 1000. */
const pageSize = 1000;
const maxPages = 1_000;
const maxNames = 100_000;
const maxPageBytes = 4 * 1024 * 1024;

const pageSchema = v.object({
  tags: v.nullish(v.array(v.string()), []),
  repositories: v.nullish(v.array(v.string()), []),
});

/**
 * Reads all pages; empty after a 404. Of the `Link` to the next page it uses only the query, so a registry cannot lead the
 * client to another URL. A registry may leave out the `Link` (distribution-spec "Listing Tags"), so a page without one is not
 * the last until a request for the names after it brings nothing new. Throws `RegistryError`.
 */
export async function listNames(
  send: Send,
  { url, scopes, field, isName, step }: ListRequest,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const names = new Set<string>();
  const queries = new Set<string>();
  let query: string | undefined = `?n=${pageSize}`;
  let hasLink = true;
  let obeysLast = false;
  while (query !== undefined) {
    if (queries.has(query) || queries.size >= maxPages)
      throw rejected(step, 'its pages do not end');
    queries.add(query);
    const page = new URL(query, url);
    const response = await send(
      { method: 'GET', url: page, scopes, expect: [200, 404], maxBytes: maxPageBytes, step },
      signal,
    );
    if (response.status === 404) {
      await drop(response);
      if (queries.size > 1) throw rejected(step, 'a page of the list does not exist (404)');
      return [];
    }
    const { bytes = new Uint8Array() } = response;
    const found = parsePage(bytes, step)[field] ?? [];
    if (!found.every(isName)) throw rejected(step, 'the list contains an invalid name');
    const fresh = found.filter((name) => !names.has(name));
    const isFollowUp = !hasLink;
    const isEnd = isFollowUp && fresh.length === 0;
    const isReliable =
      fresh.length === found.length || (isEnd && (obeysLast || isWhole(found, names)));
    if (isFollowUp && !isReliable) {
      throw rejected(step, 'its pages overlap, so names may be missing: try again later');
    }
    obeysLast ||= isFollowUp && fresh.length > 0;
    for (const name of found) names.add(name);
    if (names.size > maxNames) throw rejected(step, `the list has more than ${maxNames} names`);
    const next = parseNext(headerOf(response, 'link'), page, step);
    hasLink = next !== undefined;
    query = next ?? (isEnd ? undefined : queryAfter(found.at(-1)));
  }
  return [...names];
}

/**
 * Whether a page that brings nothing new is the whole list of a registry that ignores `last`, as distribution 2.8 does. With exactly
 * `n` names it may be cut.
 */
function isWhole(found: readonly string[], names: ReadonlySet<string>): boolean {
  return found.length === names.size && found.length !== pageSize;
}

/** Asks for the names after the last one of a page; `undefined` after an empty page. */
function queryAfter(last: string | undefined): string | undefined {
  if (last === undefined) return undefined;
  return `?${new URLSearchParams({ n: String(pageSize), last }).toString()}`;
}

function parsePage(bytes: Uint8Array, step: string): v.InferOutput<typeof pageSchema> {
  try {
    return v.parse(pageSchema, JSON.parse(new TextDecoder().decode(bytes)));
  } catch (error) {
    throw new RegistryError('REFUSED', `${step}: the response is not a list`, { cause: error });
  }
}

/** The query of `<…>; rel="next"` (RFC 8288). An unreadable Link is an error: an incomplete list could make prune delete too much. */
function parseNext(link: string | undefined, from: URL, step: string): string | undefined {
  if (!/\brel="?next"?/i.test(link ?? '')) return undefined;
  const [, target] = /<([^>]*)>\s*;[^,]*\brel="?next"?/i.exec(link ?? '') ?? [];
  const search = target === undefined ? '' : URL.parse(target, from)?.search;
  if (!search) throw rejected(step, 'the Link to the next page is invalid');
  return search;
}

function rejected(step: string, message: string): RegistryError {
  return new RegistryError('REFUSED', `${step}: ${message}`);
}
