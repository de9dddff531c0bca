import { CloneError } from '../errors.ts';
import type { ReviewPlan } from './plan.ts';

export interface ReviewOptions {
  /** Fires when the API server hangs up, or with the `CloneError` to answer. It ends the wait; copies continue. */
  readonly signal: AbortSignal;
  /** The time within which the review must be answered. */
  readonly budgetMs: number;
}

/** How long one review waits for its images. Copies continue after it. */
export interface Deadline {
  /** Ends the wait for an image. */
  readonly signal: AbortSignal;
  readonly budgetMs: number;
  /** How long to wait for a copy. @default budgetMs */
  readonly copyWaitMs?: number;
  /** How long the answer waits for outcomes. @default until every image has one */
  readonly answerWaitMs?: number;
}

const controllerAnswerMs = 1_000;
/** Less than `controllerAnswerMs`, so that the answer contains the progress of the copy. */
const controllerCopyWaitMs = 800;

/**
 * If the answer does not wait for the copies, they do not depend on the connection of the caller either.
 * This applies to clone-only objects and to controllers of the cluster.
 */
export function toDeadline(
  { isCloneOnly, request }: Pick<ReviewPlan, 'isCloneOnly' | 'request'>,
  { signal, budgetMs }: ReviewOptions,
): Deadline {
  const isController = isClusterController(request.username);
  if (!isCloneOnly && !isController) return { signal: untilHangUp(signal), budgetMs };
  return {
    signal: new AbortController().signal,
    budgetMs,
    ...(isController && { copyWaitMs: controllerCopyWaitMs }),
    answerWaitMs: isCloneOnly ? 0 : Math.min(budgetMs, controllerAnswerMs),
  };
}

/** Controllers of the cluster have few workers, and a write that waits, or sleeps before a retry, blocks one of them. */
export function isClusterController(username: string): boolean {
  return (
    username === 'system:kube-controller-manager' ||
    /^system:serviceaccount:(kube-system|knative-serving):/.test(username)
  );
}

/** Resolves with `work`, or after `ms`; the caller handles a rejection that comes later. */
export async function settledWithin(work: Promise<unknown>, ms: number): Promise<void> {
  if (ms === 0) return;
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), ms);
  await Promise.race([work, promise]).finally(() => clearTimeout(timer));
}

/** Converts a hang-up to a `CloneError`, which makes the image pending instead of failed. */
function untilHangUp(signal: AbortSignal): AbortSignal {
  const hungUp = new AbortController();
  const onAbort = (): void => {
    const message = 'the caller closed the connection before the answer';
    const isReason = signal.reason instanceof CloneError;
    hungUp.abort(isReason ? signal.reason : new CloneError('INTERRUPTED', message));
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  return hungUp.signal;
}
