/** Whether whoever is waited for moves bytes fast enough to be waited for. */
export interface ThroughputFloor {
  /** So long was waited, and so many bytes have come of it. Throws what `tooSlow` makes where that was next to nothing. */
  waited(ms: number, bytes: number): void;
}

/** 4 KiB/s: slower than any line that images are pulled through, even where a dozen layers share it. */
const minBytesPerWindow = 256 * 1024;
const windowMs = 60_000;

/**
 * A registry that sends a byte now and then would hold a copy's place for ever: no timeout between bytes ever fires. Only the time
 * that is spent waiting for it counts, so that nobody is blamed for the other end.
 */
export function createThroughputFloor(tooSlow: () => Error): ThroughputFloor {
  let waitedMs = 0;
  let moved = 0;

  return {
    waited(ms, bytes) {
      waitedMs += ms;
      moved += bytes;
      if (waitedMs < windowMs) return;
      if (moved < minBytesPerWindow) throw tooSlow();
      waitedMs = 0;
      moved = 0;
    },
  };
}
