import { CloneError } from '../../errors.ts';
import { createBoundedMap } from '../../util/bounded-map.ts';
import { formatDuration } from '../../util/quantity.ts';

export interface NegativeCacheOptions {
  readonly now: () => number;
  /** @default 1000 */
  readonly maxEntries?: number;
}

/**
 * Remembers failures for a short time that doubles with each repetition, so that a controller in a crash loop does not repeat the
 * work. Interactive requests always retry: a person may have corrected the cause.
 */
export interface NegativeCache {
  /** The remembered error, which replaces another attempt. */
  recall(key: string, isInteractive: boolean): CloneError | undefined;
  remember(key: string, error: CloneError): void;
  forget(key: string): void;
}

interface Entry {
  readonly error: CloneError;
  readonly at: number;
  readonly pauseMs: number;
}

/** Keys contain names and passwords that a workload's author chooses, so longer ones are not remembered. */
const maxKeyLength = 16 * 1024;
const firstPauseMs = 2_000;
const maxPauseMs = 300_000;
/** For failures that end for all images at once. */
const maxOutagePauseMs = 30_000;

export function createNegativeCache({
  now,
  maxEntries = 1_000,
}: NegativeCacheOptions): NegativeCache {
  const entries = createBoundedMap<string, Entry>(maxEntries);

  return {
    recall(key, isInteractive) {
      const known = entries.get(key);
      if (known === undefined || isInteractive) return undefined;
      const { error, at, pauseMs } = known;
      const agoMs = now() - at;
      if (agoMs >= pauseMs) return undefined;
      const leftMs = pauseMs - agoMs;
      const message = `${error.message}; tried ${formatDuration(agoMs)} ago, next attempt in ${formatDuration(leftMs)}`;
      return new CloneError(error.code, message, { cause: error, retryAfterMs: leftMs });
    },
    remember(key, error) {
      if (key.length > maxKeyLength) return;
      const known = entries.get(key);
      const agoMs = known === undefined ? Number.POSITIVE_INFINITY : now() - known.at;
      // Failures of concurrent requests, or of an interactive one in between, are no repetition.
      if (known !== undefined && agoMs < known.pauseMs) return;
      const isRepeated = known !== undefined && agoMs < known.pauseMs + maxPauseMs;
      const pauseMs = isRepeated ? Math.min(maxPauseOf(error), known.pauseMs * 2) : firstPauseMs;
      entries.set(key, { error, at: now(), pauseMs });
    },
    forget(key) {
      entries.delete(key);
    },
  };
}

function maxPauseOf({ code, side, reason }: CloneError): number {
  const isOutage = side === 'backup' || reason === 'UNAVAILABLE' || code === 'CLONER_UNAVAILABLE';
  return isOutage ? maxOutagePauseMs : maxPauseMs;
}
