import { CloneError } from '../errors.ts';
import { formatWait } from './duration.ts';

export interface FailureMemoryOptions {
  readonly now: () => number;
  /** For how long a person is not answered anew either. @default one second */
  readonly personsPauseMs?: number;
  /** @default 1000 */
  readonly maxEntries?: number;
}

/**
 * Failures, each for a short time that doubles with every repetition: what a controller in a crash loop asks for is not done
 * again and again. People are answered anew: they may have changed what was wrong. Only their client's own haste is absorbed.
 */
export interface FailureMemory {
  /** What is to be answered instead of trying once more. */
  recall(key: string, isPerson: boolean): CloneError | undefined;
  remember(key: string, error: CloneError): void;
  forget(key: string): void;
}

interface Memory {
  readonly error: CloneError;
  readonly at: number;
  readonly pauseMs: number;
}

const firstPauseMs = 2_000;
const maxPauseMs = 300_000;

export function createFailureMemory({
  now,
  personsPauseMs = 1_000,
  maxEntries = 1_000,
}: FailureMemoryOptions): FailureMemory {
  const memories = new Map<string, Memory>();

  return {
    recall(key, isPerson) {
      const known = memories.get(key);
      if (known === undefined) return undefined;
      const { error, at, pauseMs } = known;
      const agoMs = now() - at;
      // A clock that went back is no reason to wait longer.
      if (agoMs < 0 || agoMs >= (isPerson ? personsPauseMs : pauseMs)) return undefined;
      if (isPerson) return error;
      const leftMs = pauseMs - agoMs;
      const message = `${error.message}; tried ${formatWait(agoMs)} ago, again in ${formatWait(leftMs)}`;
      return new CloneError(error.code, message, { cause: error, retryAfterMs: leftMs });
    },
    remember(key, error) {
      const known = memories.get(key);
      const agoMs = known === undefined ? Number.POSITIVE_INFINITY : now() - known.at;
      // Who has not asked for long begins anew.
      const isRepeated = known !== undefined && agoMs < known.pauseMs + maxPauseMs;
      const pauseMs = isRepeated ? Math.min(maxPauseMs, known.pauseMs * 2) : firstPauseMs;
      memories.delete(key);
      memories.set(key, { error, at: now(), pauseMs });
      const [oldest] = memories.keys();
      if (memories.size > maxEntries && oldest !== undefined) memories.delete(oldest);
    },
    forget(key) {
      memories.delete(key);
    },
  };
}
