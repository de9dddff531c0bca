import { CloneError } from '../errors.ts';
import { currentDigest } from '../image/current-digest.ts';
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
import { isNeededNow, remove } from './remove.ts';

export interface PruneRules {
  /** Generations of each tag that stay, the current one included. */
  readonly keep: number;
  /** Tags whose generations may be removed. @default all */
  readonly tags?: readonly string[];
  /** Digests that workloads name; absent if unknown. */
  readonly used?: ReadonlySet<string> | undefined;
}

/** A generation that is older than those that stay. */
export interface OldGeneration {
  readonly digest: string;
  /** Tags whose generation it is. */
  readonly of: readonly string[];
  /** Why it stays nevertheless; absent if it can be removed. */
  readonly keptBecause?: string;
}

interface PrunePlan {
  /** In the order of removal. */
  readonly old: readonly OldGeneration[];
  /** Manifests that are removed with a generation: its children that are in no other image. */
  readonly parts: ReadonlyMap<string, readonly string[]>;
}

/** Old digests, each with the tags whose generation it is. */
type Old = ReadonlyMap<string, readonly string[]>;

/**
 * Finds the generations that can be removed: old for every tag that ever had them, and not held by another tag, a hold, or an
 * index that stays. If that is uncertain, a generation stays.
 */
export async function planPrune(
  repository: BackupRepository,
  holdings: Holdings,
  rules: PruneRules,
  signal: AbortSignal,
): Promise<readonly OldGeneration[]> {
  return (await planRemoval(repository, holdings, findOld(holdings, rules), rules, signal)).old;
}

/**
 * Removes one generation after everything was read again; distribution 2.8 deletes every tag that holds the digest. Resolves
 * with `false` if the generation stays.
 */
export async function removeGeneration(
  repository: BackupRepository,
  { digest, of }: OldGeneration,
  rules: PruneRules,
  signal: AbortSignal,
): Promise<boolean> {
  const before = await readEveryTag(repository, signal);
  if (of.some((tag) => newest(tag, before, rules).some((young) => young.digest === digest))) {
    return false;
  }
  const { parts } = await planRemoval(repository, before, new Map([[digest, of]]), rules, signal);
  const own = parts.get(digest);
  if (own === undefined) return false;
  const removal = { digest, of, parts: own, before };
  if (await isNeededNow(repository, removal, signal)) return false;
  return await remove(repository, removal, signal);
}

/**
 * Reads what all tags hold. A tag that is listed but not found may hold the generation to remove, because one of several
 * replicas of a registry can lag; only tags about other tags may be missing, because some registries leave them in the list.
 */
async function readEveryTag(repository: BackupRepository, signal: AbortSignal): Promise<Holdings> {
  const holdings = await readHoldings(repository, signal);
  const listed = await repository.tags(signal);
  const unresolved = listed.filter(
    (name) => !holdings.has(name) && !listed.some((of) => isMarkName(name, of)),
  );
  const found = await mapConcurrently(unresolved, maxConcurrentRequests, async (name) => {
    const digest = await repository.resolve(name, signal);
    if (digest !== undefined) return [name, digest] as const;
    throw new CloneError(
      'BACKUP_UNAVAILABLE',
      `the registry lists ${name} but does not find it: nothing is removed that this tag may hold; try again later`,
    );
  });
  return new Map([...holdings, ...found]);
}

async function planRemoval(
  repository: BackupRepository,
  holdings: Holdings,
  old: Old,
  rules: PruneRules,
  signal: AbortSignal,
): Promise<PrunePlan> {
  const plans = [...old].map(([digest, of]): OldGeneration => {
    const keptBecause = reasonToKeep(digest, of, holdings, rules);
    return { digest, of, ...(keptBecause !== undefined && { keptBecause }) };
  });
  const candidates = plans.filter(({ keptBecause }) => keptBecause === undefined);
  if (candidates.length === 0) return { old: plans, parts: new Map() };

  const going = new Set(candidates.map(({ digest }) => digest));
  const read = async (digest: string): Promise<readonly string[]> => [
    ...(await readImageTree(repository, digest, signal)).manifests,
  ];
  const readWhole = async (digest: string): Promise<readonly string[]> => {
    const { manifests, missing } = await readImageTree(repository, digest, signal);
    if (!missing.includes(digest)) return [...manifests];
    throw new CloneError(
      'BACKUP_UNAVAILABLE',
      `a tag holds ${digest}, which the registry does not find: nothing is removed that may be a part of it; try again later`,
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
  const reviewed = candidates.map((candidate): OldGeneration => {
    if (needed.has(candidate.digest)) {
      return { ...candidate, keptBecause: 'part of an image that stays' };
    }
    const isUsed = below.get(candidate.digest)?.some((part) => rules.used?.has(part)) === true;
    return isUsed ? { ...candidate, keptBecause: 'in use' } : candidate;
  });
  const stays = reviewed.filter(({ keptBecause }) => keptBecause !== undefined);
  const goes = reviewed.filter(({ keptBecause }) => keptBecause === undefined);
  const shared = new Set([...needed, ...going]);
  return {
    old: [
      ...plans.filter(({ keptBecause }) => keptBecause !== undefined),
      ...stays,
      ...indexesFirst(goes, below),
    ],
    parts: new Map(
      goes.map(({ digest }) => [
        digest,
        (below.get(digest) ?? []).filter((part) => !shared.has(part)),
      ]),
    ),
  };
}

/** Oldest first, so that the records that date a generation stay as long as it does; but an index before its children. */
function indexesFirst(
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

/** The old generations of each tag, oldest first. */
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

/** The generations that stay. The digest that the tag holds is one of them, also if the tag means a newer one. */
function newest(tag: string, holdings: Holdings, { keep }: PruneRules): readonly Generation[] {
  const ranked = generationsOf(tag, holdings).filter(isRanked);
  return ranked.filter(({ digest }, index) => index < keep || digest === holdings.get(tag));
}

/** A digest without a record has no place in the order. */
function isRanked({ isCurrent, rank }: Generation): boolean {
  return isCurrent || rank !== undefined;
}

function reasonToKeep(
  digest: string,
  of: readonly string[],
  holdings: Holdings,
  { used }: PruneRules,
): string | undefined {
  if (used?.has(digest) === true) return 'in use';
  if (used === undefined && of.some((tag) => isNamedByDigest(tag, holdings))) {
    return 'the tag was not moved, so workloads may name the digest: list those in use (--used FILE)';
  }
  const holders = [...holdings].filter(([, held]) => held === digest).map(([tag]) => tag);
  const holder = holders.find((name) => !of.some((tag) => isMark(name, tag, digest)));
  return holder === undefined ? undefined : `held by ${holder}`;
}

/** Whether reviews write digests for a tag, because its registry does not let it move. */
function isNamedByDigest(tag: string, holdings: Holdings): boolean {
  return currentDigest(holdings, tag) !== holdings.get(tag);
}

/** Whether a tag only keeps, or records, what another tag held; a plain tag and a hold do more. */
function isMark(name: string, of: string, digest: string): boolean {
  // Other tools write tags such as `1.27.<commit>`.
  const isForeign =
    parseTagRole(name, of)?.kind === 'generation' && name !== generationTag(of, digest);
  return isMarkName(name, of) && !isForeign;
}

function isMarkName(name: string, of: string): boolean {
  const kind = parseTagRole(name, of)?.kind;
  return kind === 'generation' || kind === 'provenance' || kind === 'move';
}
