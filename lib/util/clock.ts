import { setTimeout as pause } from 'node:timers/promises';

/** Monotonic time, in milliseconds: for durations and pauses, never for dates. */
export interface Clock {
  now(): number;
  /** Resolves after `ms`, or as soon as the signal fires. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

/** The monotonic clock of the process. Its `sleep` does not keep the process running. */
export const monotonicClock: Clock = {
  now: () => performance.now(),
  async sleep(ms, signal) {
    try {
      await pause(ms, undefined, { signal, ref: false });
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  },
};

/** Keeps the process running for `ms`; rejects with the signal's reason. */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await pause(ms, undefined, { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
}
