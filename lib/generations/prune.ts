import { CloneError } from '../errors.ts';
import { parseTagRole, shortHex } from '../image/tags.ts';
import type { BackupRepository } from '../ports/index.ts';
import { mapConcurrently } from '../util/semaphore.ts';
import { isAttachmentTag } from './attachments.ts';
import {
  type Generation,
  generationsOf,
  type Holdings,
  isGeneration,
  maxConcurrentRequests,
  readHoldings,
} from './generations.ts';
import { isMarkName, type OldDigests, type OldGeneration, planRemoval } from './plan-removal.ts';
import { isNeededNow, type RemovalResult, remove } from './remove.ts';

export interface PruneRules {
  /** Generations of each tag that stay, the current one included. */
  readonly keep: number;
  /** Tags whose generations may be removed. @default all */
  readonly tags?: readonly string[];
  /** Digests that workloads name; absent if unknown. */
  readonly used?: ReadonlySet<string> | undefined;
}

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
  const old = findOld(holdings, rules);
  return (await planRemoval(repository, holdings, old, rules.used, signal)).old;
}

/** Removes one generation after everything was read again; distribution 2.8 deletes every tag that holds the digest. */
export async function removeGeneration(
  repository: BackupRepository,
  { digest, of }: OldGeneration,
  rules: PruneRules,
  signal: AbortSignal,
): Promise<RemovalResult> {
  const before = await readEveryTag(repository, digest, signal);
  if (of.some((tag) => newest(tag, before, rules).some((young) => young.digest === digest))) {
    return { status: 'changed' };
  }
  const old = new Map([[digest, of]]);
  const { dependents } = await planRemoval(repository, before, old, rules.used, signal);
  const own = dependents.get(digest);
  if (own === undefined) return { status: 'changed' };
  const removal = { digest, of, ...own, before };
  if (await isNeededNow(repository, removal, signal)) return { status: 'changed' };
  return await remove(repository, removal, signal);
}

/**
 * Reads what all tags hold. A tag that is listed but not found may hold the digest to remove, because one of several replicas of a
 * registry can lag; only some names may be missing, because some registries leave removed tags in the list.
 */
async function readEveryTag(
  repository: BackupRepository,
  digest: string,
  signal: AbortSignal,
): Promise<Holdings> {
  const holdings = await readHoldings(repository, signal);
  const listed = await repository.tags(signal);
  const unresolved = listed.filter(
    (name) => !holdings.has(name) && !isLeftover(name, listed, digest),
  );
  const found = await mapConcurrently(unresolved, maxConcurrentRequests, async (name) => {
    const held = await repository.resolve(name, signal);
    if (held !== undefined) return [name, held] as const;
    throw new CloneError(
      'BACKUP_UNAVAILABLE',
      `the registry lists ${name} but does not find it: nothing is removed that this tag may hold; try again later`,
    );
  });
  return new Map([...holdings, ...found]);
}

/** Whether a tag looks like one of a generation that was removed, or of its attachments, and cannot be in use. */
function isLeftover(name: string, listed: readonly string[], digest: string): boolean {
  // A copied tag may have such a name; its generation tag shows that.
  if (listed.some((other) => parseTagRole(other, name)?.kind === 'generation')) return false;
  if (isAttachmentTag(name)) return true;
  return listed.some((of) => {
    const role = parseTagRole(name, of);
    if (role?.kind === 'generation') return role.hex !== shortHex(digest);
    return isMarkName(name, of);
  });
}

/** The old generations of each tag, oldest first. */
function findOld(holdings: Holdings, rules: PruneRules): OldDigests {
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
