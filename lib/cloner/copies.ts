import { CloneError } from '../errors.ts';
import type { CopyProgress, CopyResult } from '../ports.ts';
import { untilAborted } from './deadline.ts';
import { createLimit } from './limit.ts';
import { createLocks } from './locks.ts';

/** A copy that somebody started; whoever waits for it shares it with all others who do. */
export interface Copy {
  /** The result, or `undefined` when `signal` was first; the copy goes on then. */
  wait(signal: AbortSignal): Promise<CopyResult | undefined>;
  /** `undefined` while it waits for its turn. */
  progress(): { readonly elapsedMs: number; readonly now?: CopyProgress } | undefined;
}

export interface CopyKey {
  /** `host/path:tag` that will move. */
  readonly target: string;
  readonly sourceDigest: string;
}

type Work = (
  signal: AbortSignal,
  onProgress: (progress: CopyProgress) => void,
) => Promise<CopyResult>;

/**
 * All copies of this process. They outlive the reviews that start them: one for each target and source digest,
 * one after the other for each target, a limited number at once.
 */
export interface Copies {
  start(key: CopyKey, work: Work): Copy;
  counts(): { readonly running: number; readonly waiting: number };
  /** Resolves when nothing runs and nothing waits any more. */
  idle(): Promise<void>;
  /** Copies that have not begun never will; with `abort`, those that run end too. */
  stop(options: { readonly abort: boolean }): void;
}

export interface CopiesOptions {
  /** @default 4 */
  readonly maxCopies?: number;
  readonly now?: () => number;
}

/** A failure that came after everyone had been answered is told to the next who asks, within this time. */
const failureMemoryMs = 60_000;

interface Entry extends Copy {
  readonly done: Promise<CopyResult>;
  waiters: number;
  failedAt?: number;
}

export function createCopies({ maxCopies = 4, now = Date.now }: CopiesOptions = {}): Copies {
  const entries = new Map<string, Entry>();
  const unsettled = new Set<Promise<unknown>>();
  let running = 0;
  const turns = createLocks();
  const limit = createLimit(maxCopies);
  const stopping = new AbortController();
  const aborting = new AbortController();

  function start(key: CopyKey, work: Work): Copy {
    forgetFailures();
    const id = `${key.target} ${key.sourceDigest}`;
    const known = entries.get(id);
    if (known !== undefined) {
      if (known.failedAt !== undefined) entries.delete(id);
      return known;
    }
    const entry = begin(key, work);
    entries.set(id, entry);
    entry.done.then(
      () => entries.delete(id),
      () => {
        if (entry.waiters > 0) entries.delete(id);
        else entry.failedAt = now();
      },
    );
    return entry;
  }

  function begin({ target }: CopyKey, work: Work): Entry {
    let startedAt: number | undefined;
    let current: CopyProgress | undefined;

    async function takeTurn(): Promise<CopyResult> {
      if (stopping.signal.aborted) {
        throw new CloneError('INTERRUPTED', 'image-cloner is shutting down');
      }
      startedAt = now();
      running += 1;
      try {
        return await work(aborting.signal, (progress) => {
          current = progress;
        });
      } finally {
        running -= 1;
      }
    }

    const done = turns.run(target, () => limit.run(takeTurn));
    const settled = done.catch(() => undefined);
    unsettled.add(settled);
    void settled.then(() => unsettled.delete(settled));

    const entry: Entry = {
      done,
      waiters: 0,
      async wait(signal) {
        entry.waiters += 1;
        try {
          return await untilAborted(done, signal);
        } catch (error) {
          if (signal.aborted && error === signal.reason) return undefined;
          throw error;
        } finally {
          entry.waiters -= 1;
        }
      },
      progress: () =>
        startedAt === undefined
          ? undefined
          : { elapsedMs: now() - startedAt, ...(current !== undefined && { now: current }) },
    };
    return entry;
  }

  function forgetFailures(): void {
    for (const [id, { failedAt }] of entries) {
      if (failedAt !== undefined && now() - failedAt > failureMemoryMs) entries.delete(id);
    }
  }

  async function idle(): Promise<void> {
    while (unsettled.size > 0) await Promise.all(unsettled);
  }

  function stop({ abort }: { readonly abort: boolean }): void {
    stopping.abort();
    if (abort) aborting.abort(new CloneError('INTERRUPTED', 'image-cloner is shutting down'));
  }

  const counts = (): ReturnType<Copies['counts']> => ({
    running,
    waiting: unsettled.size - running,
  });

  return { start, counts, idle, stop };
}
