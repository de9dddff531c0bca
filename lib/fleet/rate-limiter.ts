export interface PaceOptions {
  readonly perMinute: number;
  /** Milliseconds, for durations only. */
  readonly now: () => number;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** Resolves when the next step may be taken: the first at once, each other a whole interval after the one before. */
export type Pace = (signal: AbortSignal) => Promise<void>;

export function createRateLimiter({ perMinute, now, sleep }: PaceOptions): Pace {
  const intervalMs = 60_000 / perMinute;
  let nextAt = Number.NEGATIVE_INFINITY;
  return async (signal) => {
    const waitMs = nextAt - now();
    if (waitMs > 0) await sleep(waitMs, signal);
    nextAt = now() + intervalMs;
  };
}
