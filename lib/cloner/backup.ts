import type { Reference } from '../image/reference.ts';
import { generationTag, provenanceTag } from '../image/tags.ts';
import type { ImageCloner, RegistryAccess } from '../ports.ts';

/** What the backup holds for one source, and whether we wrote it. */
export interface BackupState {
  /** The digest that would be used; absent where there is none. */
  readonly digest?: string;
  /** It has the generation tag for what it holds; without one, somebody else put it there. */
  readonly isOurs: boolean;
}

export interface BackupQuestion {
  readonly cloner: ImageCloner;
  readonly backup: Reference & { readonly tag: string };
  readonly access: RegistryAccess;
  readonly signal: AbortSignal;
}

/** Reads the tag of an image that is not pinned, or the tag made of its digest. */
export async function readBackup(question: BackupQuestion): Promise<BackupState> {
  const { tag } = question.backup;
  const digest = await holds(question, tag);
  if (digest === undefined) return { isOurs: false };
  return { digest, isOurs: (await holds(question, generationTag(tag, digest))) === digest };
}

/** Reads the copy of a source that is pinned by tag and digest: it is kept under its generation tag, `tag` may be elsewhere. */
export async function readPinnedBackup(
  question: BackupQuestion,
  sourceDigest: string,
): Promise<BackupState> {
  const { tag } = question.backup;
  const digest = question.cloner.keepsDigest
    ? sourceDigest
    : await holds(question, provenanceTag(tag, sourceDigest));
  if (digest === undefined) return { isOurs: false };
  const isOurs = (await holds(question, generationTag(tag, digest))) === digest;
  return isOurs ? { digest, isOurs } : { isOurs };
}

/** Whether `digest` is what a copy of `sourceDigest` looks like in the backup. */
export async function isCopyOf(
  question: BackupQuestion,
  digest: string,
  sourceDigest: string,
): Promise<boolean> {
  if (digest === sourceDigest) return true;
  if (question.cloner.keepsDigest) return false;
  return (await holds(question, provenanceTag(question.backup.tag, sourceDigest))) === digest;
}

/** The digest that a tag of the backup's repository holds now. */
export async function holds(
  { cloner, backup: { domain, path }, access, signal }: BackupQuestion,
  tag: string,
): Promise<string | undefined> {
  return (await cloner.resolve({ domain, path, tag }, access, signal))?.digest;
}
