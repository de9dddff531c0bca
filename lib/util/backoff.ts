/** How requests are repeated. */
export interface BackoffOptions {
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** 0 to 1. */
  readonly random: () => number;
}

/** Waits before attempt number `attempt + 1`. */
export type Backoff = (attempt: number, signal: AbortSignal) => Promise<void>;

const firstPauseMs = 250;
const maxPauseMs = 10_000;

/** Longer each time, with full jitter: those who failed together do not come back together. */
export function createBackoff({ sleep, random }: BackoffOptions): Backoff {
  return (attempt, signal) =>
    sleep(random() * Math.min(maxPauseMs, firstPauseMs * 2 ** attempt), signal);
}
