import type { Reference } from '../../image/reference.ts';
import { generationTag, provenanceTag } from '../../image/tags.ts';
import type { CopyResult, ImageCloner, RegistryAccess } from '../../ports/index.ts';

/** What the backup holds for one source, and whether we wrote it. */
export interface BackupState {
  /** The digest that would be used; absent where there is none. */
  readonly digest?: string;
  /** It has the generation tag for what it holds; without one, somebody else put it there. */
  readonly isOurs: boolean;
}

/** One tag in the backup, and how to ask for it. */
export interface BackupQuery {
  readonly cloner: ImageCloner;
  readonly backup: Reference & { readonly tag: string };
  readonly access: RegistryAccess;
  readonly signal: AbortSignal;
}

/** Reads what the backup holds for `source`. */
export async function readBackup(question: BackupQuery, source: Reference): Promise<BackupState> {
  const { tag } = question.backup;
  const isPinned = source.digest !== undefined;
  const digest = isPinned ? await findPinned(question, source.digest) : await holds(question, tag);
  if (digest === undefined) return { isOurs: false };
  const isOurs = await isMarked(question, digest);
  // Of a pinned source only the generation counts: the plain tag may hold another one, and rightly.
  return isPinned && !isOurs ? { isOurs } : { digest, isOurs };
}

/** Whether we wrote it: it has the tag's generation tag. */
export async function isMarked(question: BackupQuery, digest: string): Promise<boolean> {
  return (await holds(question, generationTag(question.backup.tag, digest))) === digest;
}

/** Whether `digest` is what a copy of `sourceDigest` looks like in the backup. */
export async function isCopyOf(
  question: BackupQuery,
  digest: string,
  sourceDigest: string,
): Promise<boolean> {
  if (digest === sourceDigest) return true;
  if (question.cloner.keepsDigest) return false;
  return (await holds(question, provenanceTag(question.backup.tag, sourceDigest))) === digest;
}

/** The copy of `sourceDigest`, where the backup holds it by now and it was written by us. */
export async function findCopy(
  question: BackupQuery,
  source: Reference,
  sourceDigest: string,
): Promise<CopyResult | undefined> {
  const { digest, isOurs } = await readBackup(question, source);
  if (digest === undefined || !isOurs) return undefined;
  // What is pinned was found by its digest.
  const isThere = source.digest !== undefined || (await isCopyOf(question, digest, sourceDigest));
  return isThere ? { digest, bytes: 0, isElsewhere: true } : undefined;
}

/** The digest that a tag of the backup's repository holds now. */
export async function holds(
  { cloner, backup: { domain, path }, access, signal }: BackupQuery,
  tag: string,
): Promise<string | undefined> {
  return (await cloner.resolve({ domain, path, tag }, access, signal))?.digest;
}

async function findPinned(question: BackupQuery, digest: string): Promise<string | undefined> {
  return question.cloner.keepsDigest
    ? digest
    : await holds(question, provenanceTag(question.backup.tag, digest));
}
