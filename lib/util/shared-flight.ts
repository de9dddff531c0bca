import { untilAborted } from './abort.ts';

/**
 * Runs one call per key at a time; callers that arrive meanwhile share its result. Each waits with its own signal, and the call ends
 * early when its last caller has left.
 */
export interface SharedFlight<Result> {
  run(
    key: string,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<Result>,
  ): Promise<Result>;
}

interface Flight<Result> {
  readonly result: Promise<Result>;
  readonly left: AbortController;
  readonly startedAt: number;
  callers: number;
}

/** Made once: an error with its stack costs more than the rest of a call. */
const noCaller = new Error('no caller waits for the result');

export interface SharedFlightOptions {
  /** A caller that arrives later gets a call of its own, so that it does not fail with the deadline of an old one. */
  readonly maxJoinMs: number;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
}

export function createSharedFlight<Result>({
  maxJoinMs,
  now,
}: SharedFlightOptions): SharedFlight<Result> {
  const flights = new Map<string, Flight<Result>>();

  function start(key: string, work: (signal: AbortSignal) => Promise<Result>): Flight<Result> {
    const left = new AbortController();
    const result = work(left.signal).finally(() => end(key, flight));
    const flight = { result, left, startedAt: now(), callers: 0 };
    flights.set(key, flight);
    return flight;
  }

  function end(key: string, flight: Flight<Result>): void {
    if (flights.get(key) === flight) flights.delete(key);
  }

  return {
    async run(key, signal, work) {
      signal.throwIfAborted();
      const running = flights.get(key);
      const isYoung = running !== undefined && now() - running.startedAt < maxJoinMs;
      const flight = isYoung ? running : start(key, work);
      flight.callers += 1;
      try {
        return await untilAborted(flight.result, signal);
      } finally {
        flight.callers -= 1;
        if (flight.callers === 0) {
          // A caller that arrives now needs a call of its own.
          end(key, flight);
          flight.left.abort(noCaller);
        }
      }
    },
  };
}
