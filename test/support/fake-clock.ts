import { setImmediate as turn } from 'node:timers/promises';
import type { Clock } from '../../lib/util/clock.ts';

/** A clock that only the test advances. */
export interface FakeClock extends Clock {
  /** Ends due sleeps in order, and lets all code run that waits for no I/O. */
  advance(ms: number): Promise<void>;
}

interface Sleeper {
  readonly at: number;
  readonly wake: () => void;
}

export function createFakeClock(): FakeClock {
  const sleepers = new Set<Sleeper>();
  let time = 0;

  return {
    now: () => time,
    async sleep(ms, signal) {
      if (signal.aborted) return;
      const { promise, resolve } = Promise.withResolvers<undefined>();
      const sleeper = { at: time + ms, wake: () => resolve(undefined) };
      sleepers.add(sleeper);
      signal.addEventListener('abort', sleeper.wake, { once: true });
      await promise;
      signal.removeEventListener('abort', sleeper.wake);
      sleepers.delete(sleeper);
    },
    async advance(ms) {
      const end = time + ms;
      for (;;) {
        await settle();
        const [next] = [...sleepers].toSorted((a, b) => a.at - b.at);
        if (next === undefined || next.at > end) break;
        time = Math.max(time, next.at);
        next.wake();
      }
      time = end;
      await settle();
    },
  };
}

/** Lets all code run that waits for no I/O. */
export async function settle(): Promise<void> {
  for (let count = 0; count < 10; count += 1) await turn();
}
