import type { LeaseStore, StoredLease } from '../../ports/index.ts';
import type { Clock } from '../../util/clock.ts';

/** A lease as it was last seen. */
export interface ObservedLease extends StoredLease {
  /** Since this version of it was first seen, by our clock. */
  readonly ageMs: number;
  /** Its holder is gone: we looked again and again, and it was not renewed. */
  readonly isExpired: boolean;
}

/** What all replicas do, as far as we have looked. */
export interface LeaseWatch {
  seen(target: string): ObservedLease | undefined;
  all(): readonly ObservedLease[];
  /** Whether what is seen is of now: somebody has been looking all the time. */
  isFresh(): boolean;
  /** Looks now. Resolves with whether there was an answer. */
  refresh(): Promise<boolean>;
  /** Resolves when it was looked at again, soon; one look is shared by all who wait. */
  next(): Promise<unknown>;
}

export interface LeaseWatchDeps {
  readonly store: Pick<LeaseStore, 'list'>;
  readonly clock: Clock;
}

/** A holder renews seven times within it. */
const leaseMs = 15_000;
/** How often we look while somebody waits for another replica. */
const pollMs = 1_500;

interface Sighting {
  readonly lease: StoredLease;
  readonly firstAt: number;
  readonly lastAt: number;
}

const { signal: forever } = new AbortController();

/**
 * Whether a holder is alive is told by one thing: whether its lease changed while we watched it. The times that are written in
 * it are of another machine's clock, and both may jump (client-go's leader election judges in the same way).
 */
export function createLeaseWatch({ store, clock }: LeaseWatchDeps): LeaseWatch {
  let sightings: ReadonlyMap<string, Sighting> = new Map();
  let isBlind = false;
  let answeredAt = Number.NEGATIVE_INFINITY;
  let coming: Promise<unknown> | undefined;

  async function refresh(): Promise<boolean> {
    const answer = await store.list(forever);
    const now = clock.now();
    if (answer.status !== 'done') {
      isBlind = true;
      // Nobody is waited for whom nobody can see.
      if (now - answeredAt >= leaseMs) sightings = new Map();
      return false;
    }
    answeredAt = now;
    // While we were not answered the holders may have been neither, and could not renew: the watch begins anew.
    const known: typeof sightings = isBlind ? new Map() : sightings;
    isBlind = false;
    sightings = new Map(
      answer.found.map((lease) => {
        const before = known.get(lease.target);
        const firstAt = before?.lease.version === lease.version ? before.firstAt : now;
        return [lease.target, { lease, firstAt, lastAt: now }] as const;
      }),
    );
    return true;
  }

  function toSeen({ lease, firstAt, lastAt }: Sighting): ObservedLease {
    return { ...lease, ageMs: clock.now() - firstAt, isExpired: lastAt - firstAt >= leaseMs };
  }

  async function lookSoon(): Promise<void> {
    await clock.sleep(pollMs, forever);
    coming = undefined;
    await refresh();
  }

  return {
    refresh,
    isFresh: () => clock.now() - answeredAt <= 2 * pollMs,
    seen(target) {
      const sighting = sightings.get(target);
      return sighting === undefined ? undefined : toSeen(sighting);
    },
    all: () => [...sightings.values()].map(toSeen),
    next() {
      coming ??= lookSoon();
      return coming;
    },
  };
}
