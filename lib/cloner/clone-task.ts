import { CloneError } from '../errors.ts';
import { formatReference, type Reference } from '../image/reference.ts';
import type { ImageCloner, PullSecretRefs } from '../ports/index.ts';
import type { BackupQuery, BackupState } from './backup/index.ts';
import type { Copy, CopyKey } from './queue/index.ts';

/** What is asked of us for one image. */
export interface EnsureRequest {
  readonly source: Reference;
  readonly backup: Reference;
  /** Whose pull secrets may open the source. */
  readonly pod?: PullSecretRefs | undefined;
  /** Reads only. */
  readonly dryRun: boolean;
  /** How long registries may take to answer, and how long is waited for a copy. */
  readonly budgetMs: number;
  /** How long a copy is waited for at most, from the beginning. @default budgetMs */
  readonly copyWaitMs?: number;
  /** Whose slot a copy takes. @default nobody's in particular */
  readonly namespace?: string;
  /** A controller repeats itself, so what failed a moment ago is not tried for it again. @default true */
  readonly isInteractive?: boolean;
  /** Ends the waiting, never the copy. */
  readonly signal: AbortSignal;
  /** For the log. */
  readonly uid: string;
}

/** One image on its way through the steps. */
export interface CloneTask extends EnsureRequest {
  readonly backup: Reference & { readonly tag: string };
  readonly access: BackupQuery['access'];
  readonly state: BackupState;
  readonly remainingMs: () => number;
  readonly credentialNamespace?: CopyKey['credentialNamespace'];
}

/** Of somebody who does not wait. */
export function toQuestion({ backup, access }: CloneTask, cloner: ImageCloner): BackupQuery {
  return { cloner, backup, access, signal: new AbortController().signal };
}

export function lateBackup({ source, backup }: CloneTask): CloneError {
  return new CloneError(
    'BACKUP_UNAVAILABLE',
    `the backup registry ${backup.domain} answered so late that no time was left to look for ${formatReference(source)}`,
  );
}

/** Waits for a copy within the task's time; `undefined` where it is over first. */
export async function waitFor(
  copy: Copy,
  { budgetMs, copyWaitMs = budgetMs, remainingMs, signal }: CloneTask,
): Promise<Awaited<ReturnType<Copy['wait']>>> {
  const expiry = new AbortController();
  const ms = Math.max(0, copyWaitMs - (budgetMs - remainingMs()));
  const timer = setTimeout(() => expiry.abort(), Math.min(ms, remainingMs()));
  try {
    return await copy.wait(AbortSignal.any([expiry.signal, signal]));
  } finally {
    clearTimeout(timer);
  }
}
