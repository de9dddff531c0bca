/** Allows a burst, then one use per period. */
export interface TokenBucket {
  /** Takes a token; `false` if there is none. */
  take(): boolean;
}

export interface TokenBucketOptions {
  readonly capacity: number;
  /** The time in which one token comes back. */
  readonly refillMs: number;
  /** A monotonic clock. */
  readonly now: () => number;
}

export function createTokenBucket({ capacity, refillMs, now }: TokenBucketOptions): TokenBucket {
  let tokens = capacity;
  let at = now();
  return {
    take() {
      const refilled = Math.floor((now() - at) / refillMs);
      tokens = Math.min(capacity, tokens + refilled);
      at += refilled * refillMs;
      if (tokens === 0) return false;
      tokens -= 1;
      return true;
    },
  };
}
