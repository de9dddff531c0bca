import { CloneError } from '../errors.ts';
import { currentDigest } from '../image/current-digest.ts';
import { generationTag, parseTagRole } from '../image/tags.ts';
import type { BackupRepository } from '../ports/index.ts';
import { mapConcurrently } from '../util/semaphore.ts';
import { type Attachment, findAttachments } from './attachments.ts';
import { type Holdings, maxConcurrentRequests } from './generations.ts';
import { readImageTree } from './image-tree.ts';

/** A generation that is older than those that stay. */
export interface OldGeneration {
  readonly digest: string;
  /** Tags whose generation it is. */
  readonly of: readonly string[];
  /** Why it stays nevertheless; absent if it can be removed. */
  readonly keptBecause?: string;
  /** Number of signatures, attestations and other referrers that are removed with it. */
  readonly attachmentCount?: number;
}

/** What is removed with a generation. */
export interface Dependents {
  /** Its children that are in no other image. */
  readonly parts: readonly string[];
  /** What is attached to it or to its parts. */
  readonly attachments: readonly Attachment[];
}

interface RemovalPlan {
  /** In the order of removal. */
  readonly old: readonly OldGeneration[];
  /** By the digests of the generations that can be removed. */
  readonly dependents: ReadonlyMap<string, Dependents>;
}

/** Old digests, each with the tags whose generation it is. */
export type OldDigests = ReadonlyMap<string, readonly string[]>;

/** The manifests below digests, themselves included. */
type Trees = ReadonlyMap<string, readonly string[]>;

/** Decides which old generations can be removed, and what with them. If that is uncertain, a generation stays. */
export async function planRemoval(
  repository: BackupRepository,
  holdings: Holdings,
  old: OldDigests,
  used: ReadonlySet<string> | undefined,
  signal: AbortSignal,
): Promise<RemovalPlan> {
  const plans = [...old].map(([digest, of]): OldGeneration => {
    const keptBecause = reasonToKeep(digest, of, holdings, used);
    return { digest, of, ...(keptBecause !== undefined && { keptBecause }) };
  });
  const candidates = plans.filter(({ keptBecause }) => keptBecause === undefined);
  if (candidates.length === 0) return { old: plans, dependents: new Map() };

  const candidateDigests = new Set(candidates.map(({ digest }) => digest));
  const staying = new Set([...holdings.values()].filter((digest) => !candidateDigests.has(digest)));
  const kept = await readTrees(repository, [...staying], signal);
  const below = await readTrees(repository, [...candidateDigests], signal);
  const needed = new Set([...kept.values()].flat());
  const reviewed = candidates.map((candidate): OldGeneration => {
    if (needed.has(candidate.digest)) {
      return { ...candidate, keptBecause: 'part of an image that stays' };
    }
    const isUsed = below.get(candidate.digest)?.some((part) => used?.has(part)) === true;
    return isUsed ? { ...candidate, keptBecause: 'in use' } : candidate;
  });
  const keptCandidates = reviewed.filter(({ keptBecause }) => keptBecause !== undefined);
  const removable = reviewed.filter(({ keptBecause }) => keptBecause === undefined);

  const removed = new Set(removable.map(({ digest }) => digest));
  const trees: Trees = new Map([...kept, ...below].filter(([root]) => !removed.has(root)));
  const isAttachmentNeeded = (digest: string, own: ReadonlySet<string>): boolean =>
    used?.has(digest) === true ||
    [...holdings].some(([name, root]) => !own.has(name) && trees.get(root)?.includes(digest));
  const shared = new Set([...needed, ...candidateDigests]);
  const dependents = new Map<string, Dependents>();
  for (const { digest } of removable) {
    const parts = (below.get(digest) ?? []).filter((part) => !shared.has(part));
    const subjects = [digest, ...parts];
    const attachments = await findAttachments(
      repository,
      holdings,
      subjects,
      isAttachmentNeeded,
      signal,
    );
    dependents.set(digest, { parts, attachments });
  }
  const counted = removable.map((generation): OldGeneration => {
    const { attachments = [] } = dependents.get(generation.digest) ?? {};
    return { ...generation, attachmentCount: attachments.filter((each) => !each.isIndex).length };
  });
  return {
    old: [
      ...plans.filter(({ keptBecause }) => keptBecause !== undefined),
      ...keptCandidates,
      ...indexesFirst(counted, below),
    ],
    dependents,
  };
}

/** Whether, by its name, a tag only keeps or records what another tag held. */
export function isMarkName(name: string, of: string): boolean {
  const kind = parseTagRole(name, of)?.kind;
  return kind === 'generation' || kind === 'provenance' || kind === 'move';
}

async function readTrees(
  repository: BackupRepository,
  roots: readonly string[],
  signal: AbortSignal,
): Promise<Trees> {
  return new Map(
    await mapConcurrently(roots, maxConcurrentRequests, async (root) => {
      const { manifests, missing } = await readImageTree(repository, root, signal);
      if (!missing.includes(root)) return [root, [...manifests]] as const;
      throw new CloneError(
        'BACKUP_UNAVAILABLE',
        `a tag holds ${root}, which the registry does not find: nothing is removed that may be a part of it; try again later`,
      );
    }),
  );
}

/** Oldest first, so that the records that date a generation stay as long as it does; but an index before its children. */
function indexesFirst(
  generations: readonly OldGeneration[],
  below: Trees,
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

function reasonToKeep(
  digest: string,
  of: readonly string[],
  holdings: Holdings,
  used: ReadonlySet<string> | undefined,
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

/** Whether a tag only keeps or records what another tag held. A plain tag and a hold do more. */
function isMark(name: string, of: string, digest: string): boolean {
  // Other tools write tags such as `1.27.<commit>`.
  const isForeign =
    parseTagRole(name, of)?.kind === 'generation' && name !== generationTag(of, digest);
  return isMarkName(name, of) && !isForeign;
}
