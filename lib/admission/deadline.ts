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

/** Controllers of the cluster retry by themselves, and a long wait blocks one of their few workers. */
const controllerAnswerMs = 1_000;
/** Less than `controllerAnswerMs`, so that the answer contains the progress of the copy. */
const controllerCopyWaitMs = 800;

/**
 * When the answer does not wait for the copies, they also outlive the connection of the caller.
 * This applies to clone-only objects and to controllers of the cluster.
 */
export function toDeadline(
  { rewrites, isImpatient }: Pick<ReviewPlan, 'rewrites' | 'isImpatient'>,
  { signal, budgetMs }: ReviewOptions,
): Deadline {
  if (rewrites && !isImpatient) return { signal: untilHangUp(signal), budgetMs };
  return {
    signal: new AbortController().signal,
    budgetMs,
    ...(isImpatient && { copyWaitMs: controllerCopyWaitMs }),
    answerWaitMs: rewrites ? Math.min(budgetMs, controllerAnswerMs) : 0,
  };
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
    const hangUp = new CloneError('INTERRUPTED', 'the caller did not wait for the answer');
    hungUp.abort(signal.reason instanceof CloneError ? signal.reason : hangUp);
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  return hungUp.signal;
}
