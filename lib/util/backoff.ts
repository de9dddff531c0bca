export interface BackoffOptions {
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** 0 to 1. */
  readonly random: () => number;
}

/** Waits before attempt number `attempt + 1`. */
export type Backoff = (attempt: number, signal: AbortSignal) => Promise<void>;

export interface RetryOptions {
  readonly maxAttempts: number;
  readonly backoff: Backoff;
  /** Ends the retries with its own reason. */
  readonly signal: AbortSignal;
  readonly isTransient: (error: unknown) => boolean;
}

const firstPauseMs = 250;
const maxPauseMs = 10_000;

/** Exponential with full jitter, so that callers that failed together do not retry together. */
export function createBackoff({ sleep, random }: BackoffOptions): Backoff {
  return (attempt, signal) =>
    sleep(random() * Math.min(maxPauseMs, firstPauseMs * 2 ** attempt), signal);
}

/** Repeats `work` after transient failures; rejects with the last one. Attempts count from 1. */
export async function retry<Result>(
  { maxAttempts, backoff, signal, isTransient }: RetryOptions,
  work: (attempt: number) => Promise<Result>,
): Promise<Result> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work(attempt);
    } catch (error) {
      signal.throwIfAborted();
      if (attempt >= maxAttempts || !isTransient(error)) throw error;
      await backoff(attempt, signal);
    }
  }
}
