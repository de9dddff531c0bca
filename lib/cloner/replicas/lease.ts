import type { CopyLease, CopyReading, LeaseStore, Logger } from '../../ports/index.ts';
import type { Clock } from '../../util/clock.ts';
import type { CopyKey } from '../queue/index.ts';
import type { LeaseWatch } from './lease-watch.ts';

/** The right to copy to one target, kept until it is released. */
interface HeldLease {
  /** Fires when another replica has it: we must have been gone for a while, or unheard. */
  readonly lost: AbortSignal;
  /** Others may copy to that target again. Never rejects. */
  release(): Promise<void>;
}

/**
 * Takes the lease of a target. Where the API server does not answer the copy begins without, and the lease is taken as soon as
 * it does. `alone`: there are no leases for us, so everybody does as if he were the only one.
 */
export type AcquireLease = (
  key: CopyKey,
  read: () => CopyReading | undefined,
) => Promise<HeldLease | 'taken' | 'alone'>;

export interface LeaseDeps {
  readonly store: LeaseStore;
  readonly watch: LeaseWatch;
  /** Who we are. */
  readonly holder: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

type Claim =
  | { readonly status: 'held'; readonly version: string }
  | { readonly status: 'taken' | 'forbidden' | 'unknown' };

/** How often the others are told how far we are, and that we live. */
const beatMs = 2_000;
const maxAttempts = 3;

const { signal: forever } = new AbortController();

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

  /** Ours now, where it was nobody's, a dead one's, or our own from an answer that we did not hear. */
  async function claim(lease: CopyLease): Promise<Claim> {
    const { target } = lease;
    for (let attempt = 0; attempt < maxAttempts; attempt += 1) {
      const created = await store.create(lease, forever);
      if (created.status === 'done') return { status: 'held', version: created.found };
      if (created.status === 'forbidden') return { status: 'forbidden' };
      if (created.status !== 'conflict' || !(await watch.refresh())) return { status: 'unknown' };
      const seen = watch.seen(target);
      // It was let go in between.
      if (seen === undefined) continue;
      if (seen.holder !== holder && !seen.isExpired) return { status: 'taken' };
      const replaced = await store.replace(lease, seen.version, forever);
      if (replaced.status === 'done') {
        if (seen.holder !== holder) {
          const fields = { target, from: seen.holder };
          logger.warn(fields, 'took over the copy of a replica that is gone');
        }
        return { status: 'held', version: replaced.found };
      }
      if (replaced.status !== 'conflict') return { status: 'unknown' };
    }
    // It is there and cannot be read.
    return { status: 'unknown' };
  }

  function keep(first: string | undefined, content: () => CopyLease): HeldLease {
    const { target } = content();
    const ended = new AbortController();
    const lost = new AbortController();
    let version = first;

    async function beat(): Promise<void> {
      for (;;) {
        await clock.sleep(beatMs, ended.signal);
        if (ended.signal.aborted) return;
        if (await renew()) continue;
        logger.warn({ target }, 'another replica took over a copy of ours');
        lost.abort();
        return;
      }
    }

    /** Whether it may still be ours. Not answered: the copy goes on; at worst another one makes it too, and both write the same. */
    async function renew(): Promise<boolean> {
      if (version !== undefined) {
        const answer = await store.replace(content(), version, forever);
        if (answer.status === 'done') version = answer.found;
        if (answer.status !== 'conflict') return true;
      }
      const claimed = await claim(content());
      if (claimed.status === 'held') version = claimed.version;
      return claimed.status !== 'taken';
    }

    async function remove(): Promise<void> {
      if (version !== undefined) {
        const removed = await store.remove({ target, version }, forever);
        if (removed.status !== 'conflict') return;
      }
      // Perhaps a write of ours was done, and we did not hear of it.
      if (!(await watch.refresh())) return;
      const seen = watch.seen(target);
      if (seen?.holder === holder) await store.remove(seen, forever);
      // What is left is found unrenewed, and taken over or removed.
    }

    const beating = beat();
    return {
      lost: lost.signal,
      async release() {
        ended.abort();
        await beating;
        if (!lost.signal.aborted) await remove();
      },
    };
  }
}
