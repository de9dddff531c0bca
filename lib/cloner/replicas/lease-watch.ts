import type { LeaseStore, StoredLease } from '../../ports/index.ts';
import type { Clock } from '../../util/clock.ts';
import { createSingleFlight } from '../../util/single-flight.ts';

/** A lease as of the last read. */
export interface ObservedLease extends StoredLease {
  /** The time since this version was first read. */
  readonly ageMs: number;
  /** The holder is gone: the lease was read for a full lease period and not renewed. */
  readonly isExpired: boolean;
}

/** The leases of all replicas, as of the last read. */
export interface LeaseWatch {
  get(target: string): ObservedLease | undefined;
  all(): readonly ObservedLease[];
  /** Whether the last read is recent. */
  isFresh(): boolean;
  /** Reads now. Resolves with whether the API server answered. */
  refresh(): Promise<boolean>;
  /** Resolves after the next read, which all waiting callers share. */
  next(): Promise<unknown>;
}

export interface LeaseWatchDeps {
  readonly store: Pick<LeaseStore, 'list'>;
  readonly clock: Clock;
}

/** A holder renews its lease seven times in this period. */
const leaseMs = 15_000;
/** The interval of reads while a copy waits for another replica. */
const pollMs = 1_500;

interface Observation {
  readonly lease: StoredLease;
  readonly firstAt: number;
  readonly lastAt: number;
}

const { signal: never } = new AbortController();

/**
 * A holder is alive if its lease changes while it is observed, as in client-go's leader election: the times in a lease come
 * from another machine's clock, and both clocks may jump.
 */
export function createLeaseWatch({ store, clock }: LeaseWatchDeps): LeaseWatch {
  const reads = createSingleFlight();
  let observed: ReadonlyMap<string, Observation> = new Map();
  let isBlind = false;
  let answeredAt = Number.NEGATIVE_INFINITY;

  async function refresh(): Promise<boolean> {
    const answer = await store.list(never);
    const now = clock.now();
    if (answer.status !== 'done') {
      isBlind = true;
      // Drop holders that were not seen for a full lease period.
      if (now - answeredAt >= leaseMs) observed = new Map();
      return false;
    }
    answeredAt = now;
    // While the API server did not answer, the holders could not renew either, so the observation begins again.
    const known: typeof observed = isBlind ? new Map() : observed;
    isBlind = false;
    observed = new Map(
      answer.found.map((lease) => {
        const before = known.get(lease.target);
        const firstAt = before?.lease.version === lease.version ? before.firstAt : now;
        return [lease.target, { lease, firstAt, lastAt: now }] as const;
      }),
    );
    return true;
  }

  function toObserved({ lease, firstAt, lastAt }: Observation): ObservedLease {
    return { ...lease, ageMs: clock.now() - firstAt, isExpired: lastAt - firstAt >= leaseMs };
  }

  return {
    refresh,
    isFresh: () => clock.now() - answeredAt <= 2 * pollMs,
    get(target) {
      const observation = observed.get(target);
      return observation === undefined ? undefined : toObserved(observation);
    },
    all: () => [...observed.values()].map(toObserved),
    next: () =>
      reads.run('next', async () => {
        await clock.sleep(pollMs, never);
        return await refresh();
      }),
  };
}
