import type { Reference } from '../../image/reference.ts';
import { generationTag, provenanceTag } from '../../image/tags.ts';
import type { ImageCloner, RegistryAccess } from '../../ports/index.ts';

/** What the backup holds for one source. */
export interface BackupState {
  /** The digest to use; absent if there is none. */
  readonly digest?: string;
  /** Whether the generation tag of that digest exists; if not, another tool wrote the tag. */
  readonly isOurs: boolean;
}

/** One tag in the backup, and how to read it. */
export interface BackupQuery {
  readonly cloner: ImageCloner;
  readonly backup: Reference & { readonly tag: string };
  readonly access: RegistryAccess;
  readonly signal: AbortSignal;
}

/** Reads what the backup holds for `source`. */
export async function readBackup(query: BackupQuery, source: Reference): Promise<BackupState> {
  const { tag } = query.backup;
  const isPinned = source.digest !== undefined;
  const digest = isPinned ? await readPinned(query, source.digest) : await readTag(query, tag);
  if (digest === undefined) return { isOurs: false };
  const isOurs = await hasGenerationTag(query, digest);
  // For a pinned source only the generation counts: the plain tag may rightly hold another digest.
  return isPinned && !isOurs ? { isOurs } : { digest, isOurs };
}

/** Whether image-cloner wrote the tag with this digest. */
export async function hasGenerationTag(query: BackupQuery, digest: string): Promise<boolean> {
  return (await readTag(query, generationTag(query.backup.tag, digest))) === digest;
}

/** Whether `digest` in the backup is the copy of `sourceDigest`. */
export async function isCopyOf(
  query: BackupQuery,
  digest: string,
  sourceDigest: string,
): Promise<boolean> {
  if (digest === sourceDigest) return true;
  if (query.cloner.keepsDigest) return false;
  return (await readTag(query, provenanceTag(query.backup.tag, sourceDigest))) === digest;
}

/** The digest of the copy of `sourceDigest`, if the backup holds it and image-cloner wrote it. */
export async function findCopy(
  query: BackupQuery,
  source: Reference,
  sourceDigest: string,
): Promise<string | undefined> {
  const { digest, isOurs } = await readBackup(query, source);
  if (digest === undefined || !isOurs) return undefined;
  // The backup of a pinned source was read by its digest.
  const isThere = source.digest !== undefined || (await isCopyOf(query, digest, sourceDigest));
  return isThere ? digest : undefined;
}

/** The digest that a tag of the backup's repository holds. */
export async function readTag(
  { cloner, backup: { domain, path }, access, signal }: BackupQuery,
  tag: string,
): Promise<string | undefined> {
  return (await cloner.resolve({ domain, path, tag }, access, signal))?.digest;
}

async function readPinned(query: BackupQuery, digest: string): Promise<string | undefined> {
  return query.cloner.keepsDigest
    ? digest
    : await readTag(query, provenanceTag(query.backup.tag, digest));
}
