import { type CloneError, isFailureOf } from '../../errors.ts';
import { formatReference, type Reference } from '../../image/reference.ts';
import type { ImageCloner, RegistryAccess } from '../../ports/index.ts';
import type { BackupFinding } from './verification.ts';

/** What the backup holds under the name of a copy. */
export interface CopyFinding extends BackupFinding {
  /** Absent if the backup does not hold it, or does not say. */
  readonly digest?: string;
  /** Why there is no clear answer. */
  readonly error?: CloneError;
}

/** Reads one copy with the credentials of the backup: its tag or digest, and whether every part of it is there. */
export async function checkCopy(
  cloner: Pick<ImageCloner, 'resolve' | 'isComplete'>,
  copy: Reference,
  access: RegistryAccess,
  signal: AbortSignal,
): Promise<CopyFinding> {
  const { domain, path } = copy;
  try {
    const found = await cloner.resolve(copy, access, signal, { isFresh: true, isFinal: true });
    if (found === undefined) {
      return { state: 'absent', what: `the backup does not have ${formatReference(copy)}` };
    }
    const { digest } = found;
    const isWhole = await cloner.isComplete?.({ domain, path, digest }, access, signal);
    return isWhole === false
      ? { state: 'incomplete', what: 'the backup has lost parts of it', digest }
      : { state: 'whole', what: 'whole', digest };
  } catch (error) {
    signal.throwIfAborted();
    if (!isFailureOf('backup', error)) throw error;
    return { state: 'unchecked', what: error.message, error };
  }
}
