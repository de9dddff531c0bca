import type { Reference } from '../../image/reference.ts';
import { generationTag, provenanceTag } from '../../image/tags.ts';
import type { CopyPlan } from '../../ports/index.ts';
import type { CheckedSource } from '../source/index.ts';
import type { BackupQuery } from './read-backup.ts';

type Query = Pick<BackupQuery, 'cloner' | 'backup' | 'signal'>;

/** Decides what the copy of a source consists of. Only an index can lose platforms, so only an index is read. */
export async function planCopy(
  query: Query,
  source: Reference,
  { digest, isIndex, access }: Pick<CheckedSource, 'digest' | 'isIndex' | 'access'>,
): Promise<CopyPlan> {
  const { cloner, signal } = query;
  const plan = isIndex
    ? await cloner.selection?.plan?.({ ...source, digest }, access, signal)
    : undefined;
  return plan ?? planWhole(query, digest);
}

/** The plan of a copy with all platforms; without a digest if the cloner cannot choose. */
export function planWhole({ cloner: { selection } }: Query, digest: string): CopyPlan {
  return selection === undefined || selection.plan !== undefined ? { digest } : {};
}

/**
 * The tag that a copy writes with its content: its generation tag, or, if it has another digest than its source, the tag that
 * records the source.
 */
export function firstTagOf(
  { cloner: { selection }, backup: { tag } }: Query,
  sourceDigest: string,
  plan: CopyPlan,
): string {
  return selection === undefined || plan.digest === sourceDigest
    ? generationTag(tag, sourceDigest)
    : provenanceTag(tag, selection.originOf(sourceDigest));
}
