import type { CopyReading, CopyResult, LeaseStore, Logger } from '../../ports/index.ts';
import { untilAborted } from '../../util/abort.ts';
import type { Clock } from '../../util/clock.ts';
import {
  type Copies,
  type Copy,
  type CopyKey,
  type CopyPlace,
  type Find,
  toCopyId,
  type Work,
} from '../queue/index.ts';
import { createLeases } from './lease.ts';
import { createLeaseWatch, type ObservedLease } from './lease-watch.ts';

export interface ReplicaDeps {
  readonly copies: Copies;
  readonly store: LeaseStore;
  /** Who we are among the replicas; no two processes have the same. */
  readonly holder: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Copies that all replicas share. */
export interface SharedCopies extends Copies {
  /** Looks at the leases for the first time, and from then on clears away what dead replicas leave; ends with `stop`. */
  watch(): Promise<void>;
}

const sweepMs = 300_000;
const { signal: forever } = new AbortController();

interface LeasedWork {
  readonly work: (signal: AbortSignal) => Promise<CopyResult>;
  readonly find: Find;
  readonly read: () => CopyReading | undefined;
  readonly signal: AbortSignal;
}

/** Another replica makes this copy; nobody is told, it is what has the wait go on elsewhere. */
class TakenElsewhere extends Error {
  override readonly name = 'TakenElsewhere';
}

/**
 * One copy for each target among all replicas. A lease says who makes it, and how far it is; whoever finds it taken waits outside
 * of his own line, tells of the other's progress, and looks into the backup when the lease is gone. No correctness stands on
 * it: what is copied is named by its content and the tag moves last, so two who copy at once write the same twice.
 */
export function shareCopies({ copies, store, holder, clock, logger }: ReplicaDeps): SharedCopies {
  const leases = createLeaseWatch({ store, clock });
  const acquire = createLeases({ store, watch: leases, holder, clock, logger });
  const finding = new Map<string, Promise<CopyResult | undefined>>();
  const stopped = new AbortController();

  function start(key: CopyKey, work: Work, find: Find = findNothing): Copy {
    /** What we wait for; nothing while another replica makes the copy. */
    let own: Copy | undefined;
    /** What of ours was begun last, and may be in line still when nobody waits for it. */
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
          const found = await orAborted(findOnce(key, find), signal);
          if (found !== undefined || signal.aborted) return found;
          own = begin();
        }
        const ended = await waitInLine(own, signal);
        if (ended !== 'taken') return ended;
        own = undefined;
      }
      return undefined;
    }

    /** Our own copy, unless another replica slots out to make it: then our place in the line may come to nothing. */
    async function waitInLine(
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
      progress: () => own?.progress() ?? theirProgress(key),
      place() {
        const hasBegun = own?.progress() !== undefined || theirProgress(key) !== undefined;
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
      // Between our look into the backup and our lease another replica may have made the copy.
      return (await find(signal)) ?? (await work(AbortSignal.any([signal, lease.lost])));
    } catch (error) {
      if (lease.lost.aborted) throw new TakenElsewhere();
      throw error;
    } finally {
      await lease.release();
    }
  }

  /** One look for all who waited for the same copy. */
  function findOnce(key: CopyKey, find: Find): Promise<CopyResult | undefined> {
    const id = toCopyId(key);
    const known = finding.get(id);
    if (known !== undefined) return known;
    const found = find(forever).finally(() => finding.delete(id));
    finding.set(id, found);
    return found;
  }

  function isTaken({ target }: CopyKey): boolean {
    const seen = leases.seen(target);
    return seen !== undefined && seen.holder !== holder && !seen.isExpired;
  }

  function theirProgress(key: CopyKey): CopyReading | undefined {
    const seen = isTaken(key) ? leases.seen(key.target) : undefined;
    // Another digest for the same tag: ours has not begun.
    if (seen?.sourceDigest !== key.sourceDigest) return undefined;
    return readingOf(seen);
  }

  /** Behind another digest for the same tag. */
  function placeBehind(key: CopyKey): CopyPlace | undefined {
    const seen = isTaken(key) ? leases.seen(key.target) : undefined;
    if (seen === undefined) return undefined;
    const { remainingMs } = readingOf(seen);
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

/** What its holder told, and what has passed since. */
function readingOf({ reading, ageMs }: ObservedLease): CopyReading {
  const { elapsedMs, idleMs, remainingMs } = reading;
  return {
    ...reading,
    elapsedMs: elapsedMs + ageMs,
    idleMs: idleMs + ageMs,
    ...(remainingMs !== undefined && { remainingMs: Math.max(0, remainingMs - ageMs) }),
  };
}

function findNothing(): Promise<undefined> {
  return Promise.resolve(undefined);
}

/** `undefined` when the signal was first. */
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
