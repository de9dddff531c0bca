import type { Clock, CopyLease, CopyReading, LeaseStore, Logger } from '../ports.ts';
import type { CopyKey } from './copies.ts';
import type { LeaseBoard } from './lease-board.ts';

/** The right to copy to one target, kept until it is released. */
interface HeldLease {
  /** Fires when another replica has it: we must have been gone for a while. */
  readonly lost: AbortSignal;
  /** Others may copy to that target again. Never rejects. */
  release(): Promise<void>;
}

/** Takes the lease of a target. `alone`: nobody can say who has it, so everybody does as if he were the only one. */
export type AcquireLease = (
  key: CopyKey,
  read: () => CopyReading | undefined,
  signal: AbortSignal,
) => Promise<HeldLease | 'taken' | 'alone'>;

export interface LeaseDeps {
  readonly store: LeaseStore;
  readonly board: LeaseBoard;
  /** Who we are. */
  readonly holder: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** How often the others are told how far we are, and that we live. */
const beatMs = 2_000;
const maxAttempts = 3;

const { signal: forever } = new AbortController();

export function createLeases({ store, board, holder, clock, logger }: LeaseDeps): AcquireLease {
  return async function acquire({ target, sourceDigest }, read, signal) {
    const content = (): CopyLease => {
      return { holder, target, sourceDigest, reading: read() ?? { elapsedMs: 0, idleMs: 0 } };
    };

    for (let attempt = 0; attempt < maxAttempts; attempt += 1) {
      const created = await store.create(content(), signal);
      if (created.status === 'done') return keep(created.found, content);
      if (created.status !== 'conflict' || !(await board.refresh())) return 'alone';
      const seen = board.seen(target);
      // It was let go in between.
      if (seen === undefined) continue;
      // One of our own is left over from an answer that we did not hear.
      if (seen.holder !== holder && !seen.isExpired) return 'taken';
      const replaced = await store.replace(content(), seen.version, signal);
      if (replaced.status === 'done') {
        logger.warn({ target, from: seen.holder }, 'took over the copy of a replica that is gone');
        return keep(replaced.found, content);
      }
      if (replaced.status !== 'conflict') return 'alone';
    }
    // It is there and cannot be read: somebody else's.
    return 'alone';
  };

  function keep(first: string, content: () => CopyLease): HeldLease {
    const { target } = content();
    const ended = new AbortController();
    const lost = new AbortController();
    let version = first;

    async function beat(): Promise<void> {
      for (;;) {
        await clock.sleep(beatMs, ended.signal);
        if (ended.signal.aborted) return;
        const answer = await store.replace(content(), version, forever);
        if (answer.status === 'done') {
          version = answer.found;
        } else if (answer.status === 'conflict' && !(await isStillOurs())) {
          logger.warn({ target }, 'another replica took over a copy of ours');
          lost.abort();
          return;
        }
        // Not answered: the copy goes on. At worst another one makes it too, and both write the same.
      }
    }

    /** After a write of ours that did not fit: it may have fitted an earlier write, whose answer we did not hear. */
    async function isStillOurs(): Promise<boolean> {
      if (!(await board.refresh())) return true;
      const seen = board.seen(target);
      if (seen !== undefined) {
        version = seen.version;
        return seen.holder === holder;
      }
      // Somebody has removed it, and nobody has taken it.
      const created = await store.create(content(), forever);
      if (created.status === 'done') version = created.found;
      return created.status !== 'conflict';
    }

    async function remove(): Promise<void> {
      const removed = await store.remove({ target, version }, forever);
      if (removed.status !== 'conflict' || !(await board.refresh())) return;
      const seen = board.seen(target);
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
