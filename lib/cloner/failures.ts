import { CloneError } from '../errors.ts';
import type { CloneOutcome } from '../ports.ts';

/** Reasons that a person can be told become outcomes; all others are bugs. */
export async function orFailure(work: () => Promise<CloneOutcome>): Promise<CloneOutcome> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof CloneError)) throw error;
    return isPassing(error)
      ? {
          status: 'pending',
          stage: 'waiting',
          detail: error.message,
          retryAfterSeconds: Math.ceil((error.retryAfterMs ?? 5_000) / 1000),
        }
      : { status: 'failed', error };
  }
}

/** The copy was not begun: we are leaving, and whoever comes after us does it, or too many wait. */
export function isPassing({ code }: CloneError): boolean {
  return code === 'INTERRUPTED' || code === 'LINE_FULL';
}

/** What the source has nothing to do with: a backup that could not be written, or could not be asked, is not fallen back on. */
export function isBackupsFault(error: unknown): boolean {
  return error instanceof CloneError && (error.code.startsWith('BACKUP_') || isPassing(error));
}

/** The image is right, but a docker daemon cannot give it a second tag without making it another image. */
export function isUnmarkable(error: unknown): boolean {
  return error instanceof CloneError && error.code === 'BACKUP_GENERATION_LOST';
}
