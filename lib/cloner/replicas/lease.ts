import type { CopyLease, CopyReading, LeaseStore, Logger } from '../../ports/index.ts';
import type { Clock } from '../../util/clock.ts';
import type { CopyKey } from '../queue/index.ts';
import type { LeaseWatch } from './lease-watch.ts';

/** The right to copy to one target, kept until it is released. */
interface HeldLease {
  /** Fires if another replica took the lease over, because this one could not renew it. */
  readonly lost: AbortSignal;
  /** Never rejects. */
  release(): Promise<void>;
}

/**
 * Takes the lease of a target. If the API server does not answer, the copy begins without the lease and takes it later; `alone`
 * means that leases are forbidden, so each replica makes its own copies.
 */
export type AcquireLease = (
  key: CopyKey,
  read: () => CopyReading | undefined,
) => Promise<HeldLease | 'taken' | 'alone'>;

export interface LeaseDeps {
  readonly store: LeaseStore;
  readonly watch: LeaseWatch;
  /** This replica. */
  readonly holder: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

type Claim =
  | { readonly status: 'held'; readonly version: string }
  | { readonly status: 'taken' | 'forbidden' | 'unknown' };

/** The interval of renewals, which publish the progress. */
const renewMs = 2_000;
const maxAttempts = 3;

const { signal: never } = new AbortController();

export function createLeases({ store, watch, holder, clock, logger }: LeaseDeps): AcquireLease {
  return async function acquire({ target, sourceDigest }, read) {
    const content = (): CopyLease => {
      return { holder, target, sourceDigest, reading: read() ?? { elapsedMs: 0, idleMs: 0 } };
    };
    const claimed = await claim(content());
    if (claimed.status === 'taken') return 'taken';
    if (claimed.status === 'forbidden') return 'alone';
    return keep(claimed.status === 'held' ? claimed.version : undefined, content);
  };

  /** Succeeds if the target has no lease, an expired one, or one of this replica whose creation was not confirmed. */
  async function claim(lease: CopyLease): Promise<Claim> {
    const { target } = lease;
    for (let attempt = 0; attempt < maxAttempts; attempt += 1) {
      const created = await store.create(lease, never);
      if (created.status === 'done') return { status: 'held', version: created.found };
      if (created.status === 'forbidden') return { status: 'forbidden' };
      if (created.status !== 'conflict' || !(await watch.refresh())) return { status: 'unknown' };
      const seen = watch.get(target);
      // The lease was released in between.
      if (seen === undefined) continue;
      if (seen.holder !== holder && !seen.isExpired) return { status: 'taken' };
      const replaced = await store.replace(lease, seen.version, never);
      if (replaced.status === 'done') {
        if (seen.holder !== holder) {
          const fields = { target, from: seen.holder };
          logger.warn(fields, 'took over the copy of a replica that does not renew its lease');
        }
        return { status: 'held', version: replaced.found };
      }
      if (replaced.status !== 'conflict') return { status: 'unknown' };
    }
    // The lease exists and cannot be read.
    return { status: 'unknown' };
  }

  function keep(first: string | undefined, content: () => CopyLease): HeldLease {
    const { target } = content();
    const ended = new AbortController();
    const lost = new AbortController();
    let version = first;

    async function renewUntilEnd(): Promise<void> {
      for (;;) {
        await clock.sleep(renewMs, ended.signal);
        if (ended.signal.aborted) return;
        if (await renew()) continue;
        logger.warn({ target }, 'another replica took over a copy of this one');
        lost.abort();
        return;
      }
    }

    /**
     * Whether this replica may still hold the lease. Without an answer the copy continues: at worst two replicas write the same
     * content.
     */
    async function renew(): Promise<boolean> {
      if (version !== undefined) {
        const answer = await store.replace(content(), version, never);
        if (answer.status === 'done') version = answer.found;
        if (answer.status !== 'conflict') return true;
      }
      const claimed = await claim(content());
      if (claimed.status === 'held') version = claimed.version;
      return claimed.status !== 'taken';
    }

    async function remove(): Promise<void> {
      if (version !== undefined) {
        const removed = await store.remove({ target, version }, never);
        if (removed.status !== 'conflict') return;
      }
      // A write without confirmation may have succeeded.
      if (!(await watch.refresh())) return;
      const seen = watch.get(target);
      if (seen?.holder === holder) await store.remove(seen, never);
      // A lease that stays behind expires, and another replica removes it.
    }

    const renewing = renewUntilEnd();
    return {
      lost: lost.signal,
      async release() {
        ended.abort();
        await renewing;
        if (!lost.signal.aborted) await remove();
      },
    };
  }
}
