import { toHold } from '../cloner/backup/index.ts';
import { currentDigest, movesOf, type TagDigests } from '../image/current-digest.ts';
import { generationTag, holdTag, isSameTagWithoutCase, shortHex } from '../image/tags.ts';
import type { BackupRepository } from '../ports/index.ts';
import { mapConcurrently } from '../util/semaphore.ts';

/** Every tag of a repository and the digest that it holds. */
export type Holdings = TagDigests;

/** A digest that a tag of the backup holds, or once held. */
export interface Generation {
  readonly digest: string;
  /** The tag means this digest, although it may hold another one, see `currentDigest`. */
  readonly isCurrent: boolean;
  /** A rollback holds the tag at it. */
  readonly isHeld: boolean;
  /** When the tag last moved to it; absent for the first one and for those without a record. */
  readonly since?: number;
  /** The order among the generations of the tag: the newest has the largest. Absent if no record has it. */
  readonly rank?: number;
  /** Every tag of the repository that holds the digest. */
  readonly tags: readonly string[];
}

/** Limits the requests to the backup registry. */
export const maxConcurrentRequests = 8;

/** Reads every tag of a repository. */
export async function readHoldings(
  repository: BackupRepository,
  signal: AbortSignal,
): Promise<Holdings> {
  const tags = await repository.tags(signal);
  const held = await mapConcurrently(tags, maxConcurrentRequests, async (tag) => {
    signal.throwIfAborted();
    return [tag, await repository.resolve(tag, signal)] as const;
  });
  return new Map(held.flatMap(([tag, digest]) => (digest === undefined ? [] : [[tag, digest]])));
}

/** The name under which the registry lists a tag. A registry whose tags have no case may list it in lower case. */
export async function findListedTag(
  repository: BackupRepository,
  tag: string,
  holdings: Holdings,
  signal: AbortSignal,
): Promise<string> {
  const listed = [...holdings.keys()].find((name) => isSameTagWithoutCase(name, tag));
  if (listed === undefined || holdings.has(tag)) return tag;
  return (await repository.resolve(tag, signal)) === holdings.get(listed) ? listed : tag;
}

/** The generations of one tag: the current one first, then the newest to the oldest, then those without a rank. */
export function generationsOf(tag: string, holdings: Holdings): readonly Generation[] {
  const plain = holdings.get(tag);
  const current = currentDigest(holdings, tag);
  const held = toHold(holdings.get(holdTag(tag)));
  const moves = movesOf(holdings, tag);
  const leftAt = new Map<string, number>();
  for (const { at, from } of moves) leftAt.set(from, Math.min(at, leftAt.get(from) ?? at));
  const since = new Map<string, number>();
  for (const { at, from, to } of moves) {
    // A move away from a digest shows that the tag held it; an interrupted or refused move shows nothing.
    const wasHeld = to === plain || leftAt.has(shortHex(to));
    const mayBeCurrent = plain !== undefined && from === shortHex(plain);
    if (wasHeld || mayBeCurrent) since.set(to, Math.max(at, since.get(to) ?? at));
  }
  const digests = new Set(
    [...holdings.values()].filter((digest) => isGeneration(digest, tag, holdings)),
  );
  const generations = [...digests].map((digest): Generation => {
    const at = since.get(digest);
    const rank = at ?? before(leftAt.get(shortHex(digest)));
    return {
      digest,
      isCurrent: digest === current,
      isHeld: digest === held,
      ...(at !== undefined && { since: at }),
      ...(rank !== undefined && { rank }),
      tags: [...holdings].filter(([, kept]) => kept === digest).map(([name]) => name),
    };
  });
  return generations.toSorted(
    (a, b) =>
      Number(b.isCurrent) - Number(a.isCurrent) ||
      (b.rank ?? Number.NEGATIVE_INFINITY) - (a.rank ?? Number.NEGATIVE_INFINITY) ||
      a.digest.localeCompare(b.digest),
  );
}

/** Whether the tag's generation tag says that it holds, or held, the digest. */
export function isGeneration(digest: string, tag: string, holdings: Holdings): boolean {
  return holdings.get(generationTag(tag, digest)) === digest;
}

/** The time of the first generation is not recorded; it is earlier than the tag's first move. */
function before(at: number | undefined): number | undefined {
  return at === undefined ? undefined : at - 0.5;
}
