import { CloneError } from '../../errors.ts';
import { privateTag } from '../../image/private-tags.ts';
import { isGenerationTag } from '../../image/tags.ts';
import { type BackupQuery, holds } from './read-backup.ts';

/**
 * Whether the backup has made a copy with this digest for all, under whatever tag: it has a generation and no mark, and marks are written
 * first. Whoever opens the same image with a pull secret of his own takes it from nobody then. What is only a part of another image has
 * no tag. A backup that does not tell its tags has made none, as far as one knows.
 */
export async function isServedToAll(question: BackupQuery, digest: string): Promise<boolean> {
  const { cloner, backup, access, signal } = question;
  const { domain, path } = backup;
  if (cloner.listTags === undefined) return false;
  // Most images are new, and have no tags to be listed.
  if ((await cloner.resolve({ domain, path, digest }, access, signal)) === undefined) return false;
  if ((await holds(question, privateTag(digest))) !== undefined) return false;
  for (const tag of await listAll(question)) {
    if (isGenerationTag(tag, digest) && (await holds(question, tag)) === digest) return true;
  }
  return false;
}

async function listAll({
  cloner,
  backup: { domain, path },
  access,
  signal,
}: BackupQuery): Promise<readonly string[]> {
  try {
    return (await cloner.listTags?.({ domain, path }, access, signal)) ?? [];
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof CloneError) return [];
    throw error;
  }
}
