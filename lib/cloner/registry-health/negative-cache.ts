import { CloneError } from '../../errors.ts';
import { createBoundedMap } from '../../util/bounded-map.ts';
import { formatDuration } from '../../util/duration.ts';

export interface NegativeCacheOptions {
  readonly now: () => number;
  /** @default 1000 */
  readonly maxEntries?: number;
}

/**
 * Failures, each for a short time that doubles with every repetition: what a controller in a crash loop asks for is not done
 * again and again. For people it is tried anew, always: they may have changed what was wrong.
 */
export interface NegativeCache {
  /** What is to be answered instead of trying once more. */
  recall(key: string, isInteractive: boolean): CloneError | undefined;
  remember(key: string, error: CloneError): void;
  forget(key: string): void;
}

interface Memory {
  readonly error: CloneError;
  readonly at: number;
  readonly pauseMs: number;
}

/** Keys hold names and passwords that others chose: what would fill our memory is tried again each time. */
const maxKeyLength = 16 * 1024;
const firstPauseMs = 2_000;
const maxPauseMs = 300_000;
/** Of what is mended elsewhere, for all images at once. */
const maxOutagePauseMs = 30_000;

export function createNegativeCache({
  now,
  maxEntries = 1_000,
}: NegativeCacheOptions): NegativeCache {
  const memories = createBoundedMap<string, Memory>(maxEntries);

  return {
    recall(key, isInteractive) {
      const known = memories.get(key);
      if (known === undefined || isInteractive) return undefined;
      const { error, at, pauseMs } = known;
      const agoMs = now() - at;
      if (agoMs >= pauseMs) return undefined;
      const leftMs = pauseMs - agoMs;
      const message = `${error.message}; tried ${formatDuration(agoMs)} ago, again in ${formatDuration(leftMs)}`;
      return new CloneError(error.code, message, { cause: error, retryAfterMs: leftMs });
    },
    remember(key, error) {
      if (key.length > maxKeyLength) return;
      const known = memories.get(key);
      const agoMs = known === undefined ? Number.POSITIVE_INFINITY : now() - known.at;
      // Twenty that failed together, or a person meanwhile, are no repetition.
      if (known !== undefined && agoMs < known.pauseMs) return;
      // Who has not asked for long begins anew.
      const isRepeated = known !== undefined && agoMs < known.pauseMs + maxPauseMs;
      const pauseMs = isRepeated ? Math.min(maxPauseOf(error), known.pauseMs * 2) : firstPauseMs;
      memories.set(key, { error, at: now(), pauseMs });
    },
    forget(key) {
      memories.delete(key);
    },
  };
}

function maxPauseOf({ code, side, reason }: CloneError): number {
  const isElsewhere =
    side === 'backup' || reason === 'UNAVAILABLE' || code === 'CLONER_UNAVAILABLE';
  return isElsewhere ? maxOutagePauseMs : maxPauseMs;
}
