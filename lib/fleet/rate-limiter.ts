export interface RateLimiterOptions {
  readonly perMinute: number;
  /** Monotonic, in milliseconds. */
  readonly now: () => number;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** Spaces the writes of a run. */
export interface RateLimiter {
  /** The first call resolves at once, every other one a whole interval after the previous one resolved. */
  wait(signal: AbortSignal): Promise<void>;
}

export function createRateLimiter({ perMinute, now, sleep }: RateLimiterOptions): RateLimiter {
  const intervalMs = 60_000 / perMinute;
  let nextAt = Number.NEGATIVE_INFINITY;
  return {
    async wait(signal) {
      const waitMs = nextAt - now();
      if (waitMs > 0) await sleep(waitMs, signal);
      nextAt = now() + intervalMs;
    },
  };
}
