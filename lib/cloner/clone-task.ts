import { CloneError } from '../errors.ts';
import { formatReference, type Reference } from '../image/reference.ts';
import type {
  CloneOutcome,
  ImageCloner,
  PullSecretRefs,
  ReferrersRequest,
} from '../ports/index.ts';
import { withDeadline } from '../util/abort.ts';
import type { BackupQuery, BackupState } from './backup/index.ts';
import type { Copy, CopyKey } from './queue/index.ts';
import type { CheckedSource } from './source/index.ts';

/** A request to make the backup hold one image. */
export interface EnsureRequest {
  readonly source: Reference;
  readonly backup: Reference;
  /** The pod whose pull secrets may open the source. */
  readonly pod?: PullSecretRefs | undefined;
  /** Reads only. */
  readonly dryRun: boolean;
  /** For the requests to registries and the wait for a copy. */
  readonly budgetMs: number;
  /** How long to wait for a copy, from the beginning of the request. @default budgetMs */
  readonly copyWaitMs?: number;
  /** How long to wait for signatures, which are copied behind the image. @default 1000 */
  readonly referrersWaitMs?: number;
  /** The namespace whose share of the copy queue the request uses. @default none */
  readonly namespace?: string;
  /** Whether recent failures are retried; controllers repeat their requests by themselves. @default true */
  readonly isInteractive?: boolean;
  /** Uses what the backup holds under this name, without a question to the source. `forbidden`: why else nothing is copied. */
  readonly backupFirst?: { readonly forbidden?: CloneError | undefined };
  /** Another name of the same image, copied if `source` fails and there is no backup. */
  readonly lastResort?: Reference;
  /** Ends the wait, not the copy. */
  readonly signal: AbortSignal;
  /** For the log. */
  readonly uid: string;
}

/** One request, with everything that the policy needs for it. */
export interface CloneTask extends EnsureRequest {
  readonly backup: Reference & { readonly tag: string };
  readonly access: BackupQuery['access'];
  /** Reads the backup within the budget, see `createGuardBackup`. */
  readonly query: BackupQuery;
  readonly state: BackupState;
  readonly remainingMs: () => number;
  readonly credentialNamespace?: CopyKey['credentialNamespace'];
}

/** The image to use, and how it came into the backup. */
export interface UsableBackup {
  /** Absent in a dry run if the digest is unknown. */
  readonly digest?: string;
  readonly result: 'present' | 'copied' | 'fallback' | 'planned';
  /** Whether objects must name the digest, because the tag may hold another one. @default false */
  readonly isPinned?: boolean | undefined;
  readonly bytes?: number;
  readonly warnings: readonly string[];
}

/** The copy continues after the response. */
export type PendingCopy = Extract<CloneOutcome, { readonly status: 'pending' }>;

/** A query without the budget, for work that continues after the response. */
export function toBackgroundQuery({ backup, access }: CloneTask, cloner: ImageCloner): BackupQuery {
  return { cloner, backup, access, signal: new AbortController().signal };
}

/** Waits for a copy within the task's time; `undefined` if that ends first. */
export async function waitForCopy(
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

/** The signatures of a source that exists, and where to copy them. */
export function toReferrersRequest(
  { source, backup, access }: CloneTask,
  checked: CheckedSource,
): ReferrersRequest {
  return {
    source: { ...source, digest: checked.digest },
    sourceAccess: checked.access,
    target: backup,
    targetAccess: access,
  };
}

/** Admission controllers that verify signatures run right after this one. */
const defaultReferrersWaitMs = 1_000;

/** The warnings about signatures, if they come within the task's time. */
export async function waitForReferrers(
  referrers: Promise<readonly string[]>,
  { referrersWaitMs = defaultReferrersWaitMs, remainingMs, signal }: CloneTask,
): Promise<readonly string[]> {
  const late = new CloneError('INTERRUPTED', 'signatures are copied behind the image');
  const ms = Math.min(referrersWaitMs, remainingMs());
  try {
    return await withDeadline({ ms, error: () => late, signal }, () => referrers);
  } catch (error) {
    if (error !== late) throw error;
    return [];
  }
}

/** The outcome for the review, with the reference that is written into the object. */
export function toReady(
  { source, backup }: CloneTask,
  { digest, result, isPinned = false, bytes = 0, warnings }: UsableBackup,
  durationMs: number,
  pinDigests: boolean,
): CloneOutcome {
  const { domain, path, tag } = backup;
  const wantsDigest = pinDigests || isPinned || source.digest !== undefined;
  const { digest: _digest, ...named } = source;
  const unknown = `dry run: the copy's digest is not known yet: ${formatReference(named)}`;
  return {
    status: 'ready',
    image: { domain, path, tag, ...(wantsDigest && digest !== undefined && { digest }) },
    ...(digest !== undefined && { digest }),
    result,
    bytes,
    durationMs,
    warnings: wantsDigest && digest === undefined ? [...warnings, unknown] : warnings,
  };
}
