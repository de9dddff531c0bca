import { CloneError, isFailureOf, isPostponed } from '../../errors.ts';
import type { CopyProgress, CopyReading } from '../../ports/index.ts';
import { untilAborted } from '../../util/abort.ts';
import { createBoundedMap } from '../../util/bounded-map.ts';
import { monotonicClock } from '../../util/clock.ts';
import { createNegativeCache } from '../registry-health/index.ts';
import { type CopyMeter, createCopyMeter } from './copy-meter.ts';
import { createFairQueue } from './fair-queue.ts';

/** A copy that was started, shared by all callers that wait for it. */
export interface Copy {
  /** The result; `undefined` if `signal` is aborted first. The copy continues. */
  wait(signal: AbortSignal): Promise<CopyResult | undefined>;
  /** `undefined` while it is queued. */
  progress(): CopyReading | undefined;
  /** The place in the queue; `undefined` once the copy has begun. */
  place(): CopyPlace | undefined;
}

export interface CopyResult {
  /** The digest that every written tag holds. */
  readonly digest: string;
  /** Bytes transferred into the target, without layers that it had already. */
  readonly bytes: number;
  readonly warnings: readonly string[];
  /** The plain tag does not hold the digest, so objects must name the digest. */
  readonly isPinned?: boolean;
  /** Warnings about its signatures, which are copied behind it. Never rejects. */
  readonly referrers?: Promise<readonly string[]>;
  /** Another replica made the copy during the wait. */
  readonly isElsewhere?: boolean;
}

/** The place of a copy that has not begun. */
export interface CopyPlace {
  /** How many copies begin before this one. */
  readonly ahead: number;
  /** The time until it begins, estimated from the running copies. */
  readonly expectedMs?: number;
}

export interface CopyKey {
  /** `host/path:tag` that will move. */
  readonly target: string;
  readonly sourceDigest: string;
  /** What happens to the tags. Copies of one image with different purposes run one after the other. @default move */
  readonly purpose?: 'move' | 'pin' | 'mark' | 'hold' | 'repair' | undefined;
  /** The namespace whose share of the queue the copy uses. @default none */
  readonly namespace?: string;
  /** Whether a recent failure is retried. @default true */
  readonly isInteractive?: boolean;
  /**
   * The namespace whose pull secret opens the source. Its failures are not shared: an account that is rate-limited or revoked
   * must not fail the copy for other namespaces. @default the operator's or no credentials
   */
  readonly credentialNamespace?: string | undefined;
}

export type Work = (
  signal: AbortSignal,
  onProgress: (progress: CopyProgress) => void,
) => Promise<CopyResult>;

/** The digest in the backup, if another process has made the copy meanwhile. */
export type Find = (signal: AbortSignal) => Promise<string | undefined>;

/**
 * All copies of this process; they outlive the reviews that start them. One runs for each target, source digest and purpose,
 * one at a time for each target, and a limited number at once.
 */
export interface Copies {
  /**
   * Throws `CloneError` if the copy cannot be queued: the queue is full, the copy failed a moment ago, or the process shuts
   * down. `find` is for copies that are shared with other processes.
   */
  start(key: CopyKey, work: Work, find?: Find): Copy;
  /** Aborted by `stop`, for work that no review waits for. */
  readonly stopping: AbortSignal;
  counts(): { readonly running: number; readonly waiting: number };
  /** Every copy that runs or waits, in the order in which they were started. */
  list(): readonly CopyStatus[];
  /** Resolves when no copy runs or waits. */
  idle(): Promise<void>;
  /** Drops queued copies; with `abort`, ends running ones too. */
  stop(options: { readonly abort: boolean }): void;
}

/** One copy of this process, for a person. */
export interface CopyStatus {
  /** `host/path:tag` that will move. */
  readonly target: string;
  /** The namespace that started it; empty if none did. */
  readonly namespace: string;
  readonly copy: Pick<Copy, 'progress' | 'place'>;
}

export interface CopiesOptions {
  /** @default 4 */
  readonly maxCopies?: number;
  /** @default 1000 */
  readonly maxWaiting?: number;
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number;
}

/** Keeps a failure that no review received, for the next review within this time. */
const undeliveredMs = 60_000;
const maxUndelivered = 1_000;

interface Entry extends Copy {
  readonly target: string;
  readonly namespace: string;
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
  const undelivered = createBoundedMap<string, { readonly entry: Entry; readonly at: number }>(
    maxUndelivered,
  );
  const unsettled = new Set<Promise<unknown>>();
  const meters = new Set<CopyMeter>();
  const queue = createFairQueue({ maxRunning: maxCopies, maxWaiting, now });
  const failures = createNegativeCache({ now });
  const stopping = new AbortController();
  const aborting = new AbortController();

  function start(key: CopyKey, work: Work): Copy {
    const { namespace = '', isInteractive = true, credentialNamespace } = key;
    const id = toCopyId(key);
    const running = entries.get(id);
    if (running !== undefined) {
      running.share(namespace);
      return running.credentialNamespace === credentialNamespace
        ? running
        : withFallback(running, () => start(key, work));
    }
    const failureId = credentialNamespace === undefined ? id : `${id} ${credentialNamespace}`;
    const failed = undelivered.get(failureId);
    undelivered.delete(failureId);
    if (failed !== undefined && now() - failed.at <= undeliveredMs) return failed.entry;
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
        if (entry.waiters === 0) undelivered.set(failureId, { entry, at: now() });
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

    const { done, ahead, share } = queue.join({ target, namespace }, run);
    const settled = done.catch(() => undefined);
    unsettled.add(settled);
    void settled.then(() => unsettled.delete(settled));

    const entry: Entry = {
      target,
      namespace,
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
        const expectedMs = expectBegin(before);
        return { ahead: before, ...(expectedMs !== undefined && { expectedMs }) };
      },
    };
    return entry;
  }

  /** Each running copy that ends frees a slot for one queued copy; how long queued copies take is unknown. */
  function expectBegin(ahead: number): number | undefined {
    const left = [...meters].flatMap((meter) => meter.read().remainingMs ?? []);
    return left.toSorted((a, b) => a - b)[ahead];
  }

  async function idle(): Promise<void> {
    while (unsettled.size > 0) await Promise.all(unsettled);
  }

  function stop({ abort }: { readonly abort: boolean }): void {
    const reason = new CloneError('INTERRUPTED', 'image-cloner is shutting down');
    stopping.abort(reason);
    queue.close(reason);
    if (abort) aborting.abort(reason);
  }

  const list = (): readonly CopyStatus[] =>
    [...entries.values()].map((entry) => ({
      target: entry.target,
      namespace: entry.namespace,
      copy: entry,
    }));

  return { start, stopping: stopping.signal, counts: queue.counts, list, idle, stop };
}

/** The same for all requests that one copy serves. */
export function toCopyId({ target, sourceDigest, purpose = 'move' }: CopyKey): string {
  return `${target} ${sourceDigest} ${purpose}`;
}

/** Waits for a copy with the credentials of another namespace; if the source refuses those, starts a separate one. */
function withFallback(shared: Copy, startOwn: () => Copy): Copy {
  let current = shared;
  return {
    async wait(signal) {
      try {
        return await current.wait(signal);
      } catch (error) {
        if (current !== shared || !isFailureOf('source', error)) throw error;
        current = startOwn();
        return await current.wait(signal);
      }
    },
    progress: () => current.progress(),
    place: () => current.place(),
  };
}

/** A failure that is likely to repeat within seconds. */
function isLasting(error: unknown): error is CloneError {
  return (
    error instanceof CloneError && !isPostponed(error) && !isFailureOf('backup', error, ['DENIED'])
  );
}
