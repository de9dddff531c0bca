import { CloneError } from '../errors.ts';
import { generationTag, parseTagRole } from '../image/tags.ts';
import type { BackupRepository } from '../ports/index.ts';
import { mapConcurrently } from '../util/semaphore.ts';
import {
  type Generation,
  generationsOf,
  type Holdings,
  isGeneration,
  maxConcurrentRequests,
  readHoldings,
} from './generations.ts';
import { readImageTree } from './image-tree.ts';
import { isTakenUp, remove } from './remove.ts';

export interface PruneRules {
  /** So many generations of each tag stay, the current one included. */
  readonly keep: number;
  /** Tags whose generations may go. @default all that have any */
  readonly tags?: readonly string[];
  /** Digests that somebody says are in use. */
  readonly used: ReadonlySet<string>;
}

/** A generation that is older than those that are to stay. */
export interface OldGeneration {
  readonly digest: string;
  /** Tags whose generation it is. */
  readonly of: readonly string[];
  /** Why it stays after all; absent where it goes. */
  readonly keptBecause?: string;
}

interface Judgement {
  /** In the order in which they may be removed. */
  readonly old: readonly OldGeneration[];
  /** Manifests that go with a generation: parts of it that nothing else has. */
  readonly parts: ReadonlyMap<string, readonly string[]>;
}

/** Digests that are old, and the tags that say so. */
type Old = ReadonlyMap<string, readonly string[]>;

/**
 * Finds the generations that may be removed: older than those that are to stay for every tag that ever had them, and held by no
 * other tag, no hold, and no index that stays. Where it cannot be told, it stays.
 */
export async function planPrune(
  repository: BackupRepository,
  holdings: Holdings,
  rules: PruneRules,
  signal: AbortSignal,
): Promise<readonly OldGeneration[]> {
  return (await judge(repository, holdings, findOld(holdings, rules), rules, signal)).old;
}

/**
 * Removes one generation if it may still go: everything is read anew right before. By digest, distribution 2.8 deletes every tag that
 * holds it; the disk's space comes back with the registry's own garbage collection. Resolves with `false` where it stays.
 */
export async function removeGeneration(
  repository: BackupRepository,
  { digest, of }: OldGeneration,
  rules: PruneRules,
  signal: AbortSignal,
): Promise<boolean> {
  const before = await readSurely(repository, signal);
  if (of.some((tag) => newest(tag, before, rules).some((young) => young.digest === digest))) {
    return false;
  }
  const { parts } = await judge(repository, before, new Map([[digest, of]]), rules, signal);
  const own = parts.get(digest);
  if (own === undefined) return false;
  const removal = { digest, of, parts: own, before };
  if (await isTakenUp(repository, removal, signal)) return false;
  return await remove(repository, removal, signal);
}

/**
 * Everything that tags hold. One that is listed and said not to be there may hold what is to go: one of several registries behind one
 * address has not heard of it yet. Only what tells of other tags may be in that state, for some registries leave it behind.
 */
async function readSurely(repository: BackupRepository, signal: AbortSignal): Promise<Holdings> {
  const holdings = await readHoldings(repository, signal);
  const listed = await repository.tags(signal);
  const doubtful = listed.filter(
    (name) => !holdings.has(name) && !listed.some((of) => isMarkName(name, of)),
  );
  const found = await mapConcurrently(doubtful, maxConcurrentRequests, async (name) => {
    const digest = await repository.resolve(name, signal);
    if (digest !== undefined) return [name, digest] as const;
    throw new CloneError(
      'BACKUP_UNAVAILABLE',
      `the registry lists ${name} and does not show it just now: nothing is removed that it may hold`,
    );
  });
  return new Map([...holdings, ...found]);
}

async function judge(
  repository: BackupRepository,
  holdings: Holdings,
  old: Old,
  rules: PruneRules,
  signal: AbortSignal,
): Promise<Judgement> {
  const verdicts = [...old].map(([digest, of]): OldGeneration => {
    const keptBecause = reasonToKeep(digest, of, holdings, rules);
    return { digest, of, ...(keptBecause !== undefined && { keptBecause }) };
  });
  const candidates = verdicts.filter(({ keptBecause }) => keptBecause === undefined);
  if (candidates.length === 0) return { old: verdicts, parts: new Map() };

  const going = new Set(candidates.map(({ digest }) => digest));
  const read = async (digest: string): Promise<readonly string[]> => [
    ...(await readImageTree(repository, digest, signal)).manifests,
  ];
  const readWhole = async (digest: string): Promise<readonly string[]> => {
    const { manifests, missing } = await readImageTree(repository, digest, signal);
    if (!missing.includes(digest)) return [...manifests];
    throw new CloneError(
      'BACKUP_UNAVAILABLE',
      `a tag holds ${digest}, which the registry does not show just now: nothing is removed that may be a part of it`,
    );
  };
  const staying = new Set([...holdings.values()].filter((digest) => !going.has(digest)));
  const needed = new Set(
    (await mapConcurrently([...staying], maxConcurrentRequests, readWhole)).flat(),
  );
  const below = new Map(
    await mapConcurrently(
      [...going],
      maxConcurrentRequests,
      async (digest) => [digest, await read(digest)] as const,
    ),
  );
  const judged = candidates.map((candidate): OldGeneration => {
    if (needed.has(candidate.digest)) {
      return { ...candidate, keptBecause: 'part of an image that stays' };
    }
    const isUsed = below.get(candidate.digest)?.some((part) => rules.used.has(part)) === true;
    return isUsed ? { ...candidate, keptBecause: 'in use' } : candidate;
  });
  const stays = judged.filter(({ keptBecause }) => keptBecause !== undefined);
  const goes = judged.filter(({ keptBecause }) => keptBecause === undefined);
  const shared = new Set([...needed, ...going]);
  return {
    old: [
      ...verdicts.filter(({ keptBecause }) => keptBecause !== undefined),
      ...stays,
      ...containersFirst(goes, below),
    ],
    parts: new Map(
      goes.map(({ digest }) => [
        digest,
        (below.get(digest) ?? []).filter((part) => !shared.has(part)),
      ]),
    ),
  };
}

/** The oldest first, so that what dates a generation is there as long as it is; but an index before a generation that is its part. */
function containersFirst(
  generations: readonly OldGeneration[],
  below: ReadonlyMap<string, readonly string[]>,
): readonly OldGeneration[] {
  const sizeOf = ({ digest }: OldGeneration): number => below.get(digest)?.length ?? 0;
  const isPart = ({ digest }: OldGeneration): boolean =>
    [...below].some(([root, parts]) => root !== digest && parts.includes(digest));
  const parts = generations.filter(isPart);
  return [
    ...generations.filter((generation) => !isPart(generation)),
    ...parts.toSorted((a, b) => sizeOf(b) - sizeOf(a)),
  ];
}

/** Each tag's own, the oldest first. */
function findOld(holdings: Holdings, rules: PruneRules): Old {
  const old = new Map<string, readonly string[]>();
  for (const [tag, digest] of holdings) {
    if (!isGeneration(digest, tag, holdings) || rules.tags?.includes(tag) === false) continue;
    const young = new Set(newest(tag, holdings, rules).map((generation) => generation.digest));
    const ranked = generationsOf(tag, holdings).filter(isRanked);
    for (const { digest } of ranked.toReversed()) {
      if (!young.has(digest)) old.set(digest, [...(old.get(digest) ?? []), tag]);
    }
  }
  return old;
}

/** Those that are to stay. */
function newest(tag: string, holdings: Holdings, { keep }: PruneRules): readonly Generation[] {
  return generationsOf(tag, holdings).filter(isRanked).slice(0, keep);
}

/** What the tag never had, or had before that was written down, has no place in the order. */
function isRanked({ isCurrent, rank }: Generation): boolean {
  return isCurrent || rank !== undefined;
}

function reasonToKeep(
  digest: string,
  of: readonly string[],
  holdings: Holdings,
  { used }: PruneRules,
): string | undefined {
  if (used.has(digest)) return 'in use';
  const holders = [...holdings].filter(([, held]) => held === digest).map(([tag]) => tag);
  const holder = holders.find((name) => !of.some((tag) => isMark(name, tag, digest)));
  return holder === undefined ? undefined : `held by ${holder}`;
}

/** Tags that keep, or tell of, what another tag had; a plain tag or a hold is not one. */
function isMark(name: string, of: string, digest: string): boolean {
  // Others may call a tag `1.27.<commit>`.
  const isOthers =
    parseTagRole(name, of)?.kind === 'generation' && name !== generationTag(of, digest);
  return isMarkName(name, of) && !isOthers;
}

function isMarkName(name: string, of: string): boolean {
  const kind = parseTagRole(name, of)?.kind;
  return kind === 'generation' || kind === 'provenance' || kind === 'move';
}
