import { CloneError, isFailureOf, isPostponed } from '../../errors.ts';
import type { CopyProgress, CopyReading, CopyResult } from '../../ports/index.ts';
import { untilAborted } from '../../util/abort.ts';
import { createBoundedMap } from '../../util/bounded-map.ts';
import { monotonicClock } from '../../util/clock.ts';
import { createNegativeCache } from '../registry-health/index.ts';
import { type CopyMeter, createCopyMeter } from './copy-meter.ts';
import { createFairQueue } from './fair-queue.ts';

/** A copy that somebody started; whoever waits for it shares it with all others who do. */
export interface Copy {
  /** The result, or `undefined` when `signal` was first; the copy goes on then. */
  wait(signal: AbortSignal): Promise<CopyResult | undefined>;
  /** `undefined` while it waits for its slot. */
  progress(): CopyReading | undefined;
  /** Its place in the line; `undefined` once it has begun. */
  place(): CopyPlace | undefined;
}

/** Of a copy that has not begun. */
export interface CopyPlace {
  /** How many begin before it. */
  readonly ahead: number;
  /** Until its slot comes, as far as the copies that run can tell. */
  readonly expectedMs?: number;
}

export interface CopyKey {
  /** `host/path:tag` that will move. */
  readonly target: string;
  readonly sourceDigest: string;
  /** What becomes of the tags. Who wants something else of the same image waits for its slot. @default the tag moves there */
  readonly purpose?: 'move' | 'pin' | 'mark' | 'hold' | 'mend' | undefined;
  /** Whose slot it takes. @default nobody's in particular */
  readonly namespace?: string;
  /** Has it tried although it failed a moment ago. @default true */
  readonly isInteractive?: boolean;
  /**
   * The namespace whose own credentials open the source: what the source says to them is nobody else's. Whoever has an account
   * that is limited, or revokes it in time, would have the copy fail for all. @default what opens it for everybody
   */
  readonly credentialNamespace?: string | undefined;
}

export type Work = (
  signal: AbortSignal,
  onProgress: (progress: CopyProgress) => void,
) => Promise<CopyResult>;

/** Looks whether somebody else has made the copy meanwhile. */
export type Find = (signal: AbortSignal) => Promise<CopyResult | undefined>;

/**
 * All copies of this process. They outlive the reviews that start them: one for each target, source digest and purpose,
 * one after the other for each target, a limited number at once, namespaces in slot.
 */
export interface Copies {
  /**
   * Throws `CloneError` where it cannot even wait: the line is full, it failed a moment ago, or we are leaving.
   * `find` is for who shares copies with other processes.
   */
  start(key: CopyKey, work: Work, find?: Find): Copy;
  counts(): { readonly running: number; readonly waiting: number };
  /** Resolves when nothing runs and nothing waits any more. */
  idle(): Promise<void>;
  /** Copies that have not begun never will; with `abort`, those that run end too. */
  stop(options: { readonly abort: boolean }): void;
}

export interface CopiesOptions {
  /** @default 4 */
  readonly maxCopies?: number;
  /** @default 1000 */
  readonly maxWaiting?: number;
  /** Milliseconds, for durations only. */
  readonly now?: () => number;
}

/** A failure that came after everyone had been answered is told to the next who asks, within this time. */
const untoldMs = 60_000;
const maxUntold = 1_000;

interface Entry extends Copy {
  readonly credentialNamespace: string | undefined;
  readonly done: Promise<CopyResult>;
  readonly share: (namespace: string) => void;
  waiters: number;
}

export function createCopies({
  maxCopies = 4,
  maxWaiting = 1_000,
  now = monotonicClock.now,
}: CopiesOptions = {}): Copies {
  const entries = new Map<string, Entry>();
  const untold = createBoundedMap<string, { readonly entry: Entry; readonly at: number }>(
    maxUntold,
  );
  const unsettled = new Set<Promise<unknown>>();
  const meters = new Set<CopyMeter>();
  const line = createFairQueue({ maxRunning: maxCopies, maxWaiting, now });
  const failures = createNegativeCache({ now });
  const aborting = new AbortController();

  function start(key: CopyKey, work: Work): Copy {
    const { namespace = '', isInteractive = true, credentialNamespace } = key;
    const id = toCopyId(key);
    const known = entries.get(id);
    if (known !== undefined) {
      known.share(namespace);
      return known.credentialNamespace === credentialNamespace
        ? known
        : orOwn(known, () => start(key, work));
    }
    const failureId = credentialNamespace === undefined ? id : `${id} ${credentialNamespace}`;
    const failed = untold.get(failureId);
    untold.delete(failureId);
    if (failed !== undefined && now() - failed.at <= untoldMs) return failed.entry;
    const failure = failures.recall(failureId, isInteractive);
    if (failure !== undefined) throw failure;
    const entry = begin(key, work);
    entries.set(id, entry);
    entry.done.then(
      () => {
        failures.forget(failureId);
        entries.delete(id);
      },
      (error: unknown) => {
        if (isLasting(error)) failures.remember(failureId, error);
        entries.delete(id);
        if (entry.waiters === 0) keepUntold(failureId, entry);
      },
    );
    return entry;
  }

  function begin({ target, namespace = '', credentialNamespace }: CopyKey, work: Work): Entry {
    let meter: CopyMeter | undefined;

    async function run(signal: AbortSignal): Promise<CopyResult> {
      const own = createCopyMeter(now);
      meter = own;
      meters.add(own);
      try {
        return await work(AbortSignal.any([aborting.signal, signal]), (progress) =>
          own.note(progress),
        );
      } finally {
        meters.delete(own);
      }
    }

    const { done, ahead, share } = line.join({ target, namespace }, run);
    const settled = done.catch(() => undefined);
    unsettled.add(settled);
    void settled.then(() => unsettled.delete(settled));

    const entry: Entry = {
      credentialNamespace,
      done,
      share,
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
      progress: () => (ahead() === undefined ? meter?.read() : undefined),
      place() {
        const before = ahead();
        if (before === undefined) return undefined;
        const expectedMs = expectTurn(before);
        return { ahead: before, ...(expectedMs !== undefined && { expectedMs }) };
      },
    };
    return entry;
  }

  /** Each copy that ends makes room for one; how long those take that have not begun nobody knows. */
  function expectTurn(ahead: number): number | undefined {
    const left = [...meters].flatMap((meter) => meter.read().remainingMs ?? []);
    return left.toSorted((a, b) => a - b)[ahead];
  }

  function keepUntold(id: string, entry: Entry): void {
    untold.set(id, { entry, at: now() });
  }

  async function idle(): Promise<void> {
    while (unsettled.size > 0) await Promise.all(unsettled);
  }

  function stop({ abort }: { readonly abort: boolean }): void {
    const reason = new CloneError('INTERRUPTED', 'image-cloner is shutting down');
    line.close(reason);
    if (abort) aborting.abort(reason);
  }

  return { start, counts: line.counts, idle, stop };
}

/** Equal where one copy is enough for both. */
export function toCopyId({ target, sourceDigest, purpose = 'move' }: CopyKey): string {
  return `${target} ${sourceDigest} ${purpose}`;
}

/** A copy that others began with other credentials; where those fail at the source, one's own is made. */
function orOwn(others: Copy, start: () => Copy): Copy {
  let now = others;
  return {
    async wait(signal) {
      try {
        return await now.wait(signal);
      } catch (error) {
        const isTheirs = isFailureOf('source', error);
        if (now !== others || !isTheirs) throw error;
        now = start();
        return await now.wait(signal);
      }
    },
    progress: () => now.progress(),
    place: () => now.place(),
  };
}

/** What somebody else than the one who asks has to mend, and not at once. */
function isLasting(error: unknown): error is CloneError {
  return (
    error instanceof CloneError && !isPostponed(error) && !isFailureOf('backup', error, ['DENIED'])
  );
}
