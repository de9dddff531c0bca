/** The rate of a growing sum over the last seconds. */
export interface ThroughputMeter {
  /** The sum so far; it falls when an attempt is repeated. */
  note(bytes: number): void;
  /** `undefined` in the first half second. */
  perSecond(): number | undefined;
  /** Time since the sum last grew. */
  idleMs(): number;
}

const windowMs = 10_000;
/** Bounds the samples: progress is reported hundreds of times a second. */
const sampleMs = 250;
/** The first bytes of a connection do not show its rate. */
const minSpanMs = 500;

export function createThroughputMeter(now: () => number): ThroughputMeter {
  let samples = [{ at: now(), bytes: 0 }];
  let latest = 0;
  let grewAt = now();

  function prune(): void {
    const edge = now() - windowMs;
    // The newest sample before the window marks its beginning.
    const first = samples.findLastIndex(({ at }) => at <= edge);
    if (first > 0) samples = samples.slice(first);
  }

  return {
    note(bytes) {
      if (bytes > latest) grewAt = now();
      latest = bytes;
      const last = samples.at(-1)?.at ?? Number.NEGATIVE_INFINITY;
      if (now() - last < sampleMs) return;
      prune();
      samples.push({ at: now(), bytes });
    },
    perSecond() {
      prune();
      const [base] = samples;
      const spanMs = base === undefined ? 0 : now() - base.at;
      if (base === undefined || spanMs < minSpanMs) return undefined;
      return (Math.max(0, latest - base.bytes) / spanMs) * 1000;
    },
    idleMs: () => now() - grewAt,
  };
}
