import * as v from 'valibot';
import type { Scope } from '../auth/index.ts';
import { RegistryError } from '../errors/index.ts';
import { drop, headerOf } from '../http/index.ts';
import type { Send } from './transport.ts';

/** What is listed in pages: the tags of a repository, the repositories of a registry. */
export interface ListQuestion {
  /** The first page, without its query. */
  readonly url: URL;
  readonly scopes: readonly Scope[];
  /** The field of the answer that holds the names. */
  readonly field: 'tags' | 'repositories';
  readonly isName: (name: string) => boolean;
  readonly step: string;
}

/** More than 1000 at once are an error for ECR. */
const pageSize = '1000';
const maxPages = 1_000;
const maxNames = 100_000;
const maxPageBytes = 4 * 1024 * 1024;

const pageSchema = v.object({
  tags: v.nullish(v.array(v.string()), []),
  repositories: v.nullish(v.array(v.string()), []),
});

/**
 * Reads all pages; none where the registry knows of nothing there. `Link` says where the rest is, and is a stranger's text: only
 * its query is used, on the very address that we asked, so that it leads nowhere else. Throws `RegistryError`.
 */
export async function listNames(
  send: Send,
  { url, scopes, field, isName, step }: ListQuestion,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const names = new Set<string>();
  const asked = new Set<string>();
  let query: string | undefined = `?n=${pageSize}`;
  while (query !== undefined) {
    if (asked.has(query) || asked.size >= maxPages) throw refused(step, 'its pages do not end');
    asked.add(query);
    const page = new URL(query, url);
    const answer = await send(
      { method: 'GET', url: page, scopes, expect: [200, 404], maxBytes: maxPageBytes, step },
      signal,
    );
    if (answer.status === 404) {
      await drop(answer);
      if (asked.size > 1) throw refused(step, 'one of its pages is not there');
      return [];
    }
    const { bytes = new Uint8Array() } = answer;
    for (const name of parsePage(bytes, step)[field] ?? []) {
      if (!isName(name)) throw refused(step, 'it lists what is no name');
      names.add(name);
    }
    if (names.size > maxNames) throw refused(step, `it lists more than ${maxNames} names`);
    query = parseNext(headerOf(answer, 'link'), page, step);
  }
  return [...names];
}

function parsePage(bytes: Uint8Array, step: string): v.InferOutput<typeof pageSchema> {
  try {
    return v.parse(pageSchema, JSON.parse(new TextDecoder().decode(bytes)));
  } catch (error) {
    throw new RegistryError('REFUSED', `${step}: the answer is no list`, { cause: error });
  }
}

/** The query of `<…>; rel="next"` (RFC 8288). Who takes a page for the whole would remove what the other pages hold. */
function parseNext(link: string | undefined, from: URL, step: string): string | undefined {
  if (!/\brel="?next"?/i.test(link ?? '')) return undefined;
  const [, target] = /<([^>]*)>\s*;[^,]*\brel="?next"?/i.exec(link ?? '') ?? [];
  const search = target === undefined ? '' : URL.parse(target, from)?.search;
  if (!search) throw refused(step, 'it says that there are more, and not where');
  return search;
}

function refused(step: string, message: string): RegistryError {
  return new RegistryError('REFUSED', `${step}: ${message}`);
}
