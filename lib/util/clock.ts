import { setTimeout as pause } from 'node:timers/promises';

/** Monotonic time, in milliseconds: for durations and pauses, never for dates. */
export interface Clock {
  now(): number;
  /** Resolves after `ms`, or as soon as the signal fires. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

/** The machine's own: no date that is set, and no other machine, has a part in it. Sleepers keep no process from its end. */
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
