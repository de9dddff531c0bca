import type { CopyReading, LeaseStore, Logger } from '../../ports/index.ts';
import { untilAborted } from '../../util/abort.ts';
import type { Clock } from '../../util/clock.ts';
import { createSingleFlight } from '../../util/single-flight.ts';
import {
  type Copies,
  type Copy,
  type CopyKey,
  type CopyPlace,
  type CopyResult,
  type Find,
  toCopyId,
  type Work,
} from '../queue/index.ts';
import { createLeases } from './lease.ts';
import { createLeaseWatch, type ObservedLease } from './lease-watch.ts';

export interface ReplicaDeps {
  readonly copies: Copies;
  readonly store: LeaseStore;
  /** This replica; unique per process. */
  readonly holder: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Copies that are shared among all replicas. */
export interface SharedCopies extends Copies {
  /** Reads the leases, and removes expired ones until `stop`. */
  watch(): Promise<void>;
}

const sweepMs = 300_000;
const { signal: never } = new AbortController();

interface LeasedWork {
  readonly work: (signal: AbortSignal) => Promise<CopyResult>;
  readonly find: Find;
  readonly read: () => CopyReading | undefined;
  readonly signal: AbortSignal;
}

/** Another replica makes this copy. Internal: the wait continues at that replica's lease. */
class TakenElsewhere extends Error {
  override readonly name = 'TakenElsewhere';
}

/**
 * One copy per target among all replicas. A lease names the replica that makes it and has its progress; the others wait outside
 * of their queues and read the backup when the lease is gone. See lib/decisions/0004-one-copy-per-target.md.
 */
export function shareCopies({ copies, store, holder, clock, logger }: ReplicaDeps): SharedCopies {
  const leases = createLeaseWatch({ store, clock });
  const acquire = createLeases({ store, watch: leases, holder, clock, logger });
  const finds = createSingleFlight<CopyResult | undefined>();
  const stopped = new AbortController();

  function start(key: CopyKey, work: Work, find: Find = findNothing): Copy {
    /** The copy of this replica; absent while another replica makes it. */
    let own: Copy | undefined;
    /** The last copy of this replica; it may be queued although no caller waits for it. */
    let latest: Copy | undefined;
    const leased: Work = (signal, onProgress) =>
      underLease(key, {
        work: (within) => work(within, onProgress),
        find,
        read: () => latest?.progress(),
        signal,
      });
    const begin = (): Copy => {
      latest = copies.start(key, leased);
      return latest;
    };
    if (!leases.isFresh() || !isTaken(key)) own = begin();

    async function wait(signal: AbortSignal): Promise<CopyResult | undefined> {
      while (!signal.aborted) {
        if (own === undefined) {
          await orAborted(leases.next(), signal);
          if (isTaken(key)) continue;
          const found = await orAborted(
            finds.run(toCopyId(key), () => findElsewhere(find, never)),
            signal,
          );
          if (found !== undefined || signal.aborted) return found;
          own = begin();
        }
        const ended = await waitForOwn(own, signal);
        if (ended !== 'taken') return ended;
        own = undefined;
      }
      return undefined;
    }

    /** Waits for this replica's copy, unless another replica takes it over while it is queued. */
    async function waitForOwn(
      copy: Copy,
      signal: AbortSignal,
    ): Promise<CopyResult | undefined | 'taken'> {
      const over = new AbortController();
      try {
        return await Promise.race([copy.wait(signal), untilTaken(copy, over.signal)]);
      } catch (error) {
        if (error instanceof TakenElsewhere) return 'taken';
        throw error;
      } finally {
        over.abort();
      }
    }

    async function untilTaken(copy: Copy, signal: AbortSignal): Promise<'taken'> {
      while (!signal.aborted && copy.progress() === undefined) {
        await leases.next();
        if (isTaken(key) && copy.progress() === undefined) return 'taken';
      }
      return await new Promise<never>(() => undefined);
    }

    return {
      wait,
      progress: () => own?.progress() ?? progressElsewhere(key),
      place() {
        const hasBegun = own?.progress() !== undefined || progressElsewhere(key) !== undefined;
        return hasBegun ? undefined : (own?.place() ?? placeBehind(key));
      },
    };
  }

  async function underLease(
    key: CopyKey,
    { work, find, read, signal }: LeasedWork,
  ): Promise<CopyResult> {
    const lease = await acquire(key, read);
    if (lease === 'taken') throw new TakenElsewhere();
    if (lease === 'alone') return await work(signal);
    try {
      // Another replica may have made the copy between the first read of the backup and the lease.
      const found = await findElsewhere(find, signal);
      return found ?? (await work(AbortSignal.any([signal, lease.lost])));
    } catch (error) {
      if (lease.lost.aborted) throw new TakenElsewhere();
      throw error;
    } finally {
      await lease.release();
    }
  }

  function isTaken({ target }: CopyKey): boolean {
    const lease = leases.get(target);
    return lease !== undefined && lease.holder !== holder && !lease.isExpired;
  }

  function progressElsewhere(key: CopyKey): CopyReading | undefined {
    const lease = isTaken(key) ? leases.get(key.target) : undefined;
    // A lease for another digest of the tag means that this copy has not begun.
    return lease?.sourceDigest === key.sourceDigest ? readingOf(lease) : undefined;
  }

  /** The place behind the copy of another digest of the same tag. */
  function placeBehind(key: CopyKey): CopyPlace | undefined {
    const lease = isTaken(key) ? leases.get(key.target) : undefined;
    if (lease === undefined) return undefined;
    const { remainingMs } = readingOf(lease);
    return { ahead: 1, ...(remainingMs !== undefined && { expectedMs: remainingMs }) };
  }

  async function watch(): Promise<void> {
    const { signal } = stopped;
    while (!signal.aborted) {
      await leases.refresh();
      for (const lease of leases.all()) {
        if (lease.isExpired) await store.remove(lease, signal);
      }
      await clock.sleep(sweepMs, signal);
    }
  }

  function stop(options: Parameters<Copies['stop']>[0]): void {
    stopped.abort();
    copies.stop(options);
  }

  return { ...copies, start, stop, watch };
}

/** The published progress, plus the time since then. */
function readingOf({ reading, ageMs }: ObservedLease): CopyReading {
  const { elapsedMs, idleMs, remainingMs } = reading;
  return {
    ...reading,
    elapsedMs: elapsedMs + ageMs,
    idleMs: idleMs + ageMs,
    ...(remainingMs !== undefined && { remainingMs: Math.max(0, remainingMs - ageMs) }),
  };
}

async function findElsewhere(find: Find, signal: AbortSignal): Promise<CopyResult | undefined> {
  const digest = await find(signal);
  return digest === undefined ? undefined : { digest, bytes: 0, warnings: [], isElsewhere: true };
}

function findNothing(): Promise<undefined> {
  return Promise.resolve(undefined);
}

/** `undefined` if the signal is aborted first. */
async function orAborted<Result>(
  promise: Promise<Result>,
  signal: AbortSignal,
): Promise<Result | undefined> {
  try {
    return await untilAborted(promise, signal);
  } catch (error) {
    if (signal.aborted && error === signal.reason) return undefined;
    throw error;
  }
}
