import { CloneError } from '../../lib/index.ts';
import { monotonicClock } from '../../lib/util/clock.ts';

/** Nearly all reviews of an API server are smaller. */
const maxUnqueuedBytes = 64 * 1024;
/** While registries do not answer, a review holds up to eight times the size of its body. */
const maxAdmittedBytes = 16 * 1024 * 1024;
/** The size that counts for a body without a content length. */
const unknownBytes = 4 * 1024 * 1024;

/** Enough time for a body to arrive and for registries to answer, if no other body waits. */
const evictAfterMs = 2_000;
const retryAfterMs = 2_000;

export interface BodySlot {
  readonly waitedMs: number;
  /** Fires with `CloneError` `LINE_FULL` if the slot goes to another body. Absent for a body that needs no slot. */
  readonly signal?: AbortSignal;
}

interface AdmittedBody {
  readonly bytes: number;
  readonly eviction: AbortController;
}

/**
 * Bounds the memory of large request bodies: 16 MiB of them are admitted at once, the rest wait unread, the smallest first.
 * While a body waits, slots older than two seconds are evicted: bodies that never arrive must not block the others.
 */
export function createBodyQueue(
  now: () => number = monotonicClock.now,
): <Result>(
  bytes: number | undefined,
  work: (slot: BodySlot) => Promise<Result>,
) => Promise<Result> {
  /** Sorted by size. */
  const waiting: { readonly bytes: number; readonly admit: () => void }[] = [];
  /** With the time of the admission; the oldest is first. */
  const admitted = new Map<AdmittedBody, number>();
  let timer: NodeJS.Timeout | undefined;

  function admitWaiting(): void {
    for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
      if (sumBytes(admitted.keys()) + next.bytes > maxAdmittedBytes) break;
      waiting.shift();
      next.admit();
    }
    scheduleEviction();
  }

  /** Evicts as many of the oldest bodies as the next one needs. */
  function scheduleEviction(): void {
    clearTimeout(timer);
    const [next] = waiting;
    const staying = [...admitted].filter(([{ eviction }]) => !eviction.signal.aborted);
    const [[oldest, since] = []] = staying;
    if (next === undefined || oldest === undefined || since === undefined) return;
    if (sumBytes(staying.map(([body]) => body)) + next.bytes <= maxAdmittedBytes) return;
    timer = setTimeout(
      () => {
        oldest.eviction.abort(createOverloadError());
        scheduleEviction();
      },
      Math.max(0, since + evictAfterMs - now()),
    );
  }

  return async (bytes = unknownBytes, work) => {
    if (bytes <= maxUnqueuedBytes) return await work({ waitedMs: 0 });
    const body = { bytes, eviction: new AbortController() };
    const arrivedAt = now();
    const admission = Promise.withResolvers<undefined>();
    const admit = (): void => {
      admitted.set(body, now());
      admission.resolve(undefined);
    };
    const larger = waiting.findIndex((other) => other.bytes > bytes);
    waiting.splice(larger < 0 ? waiting.length : larger, 0, { bytes, admit });
    admitWaiting();
    const hasWaited = !admitted.has(body);
    await admission.promise;
    try {
      const waitedMs = hasWaited ? now() - arrivedAt : 0;
      return await work({ waitedMs, signal: body.eviction.signal });
    } finally {
      admitted.delete(body);
      admitWaiting();
    }
  };
}

function sumBytes(bodies: Iterable<AdmittedBody>): number {
  let bytes = 0;
  for (const body of bodies) bytes += body.bytes;
  return bytes;
}

export function createOverloadError(): CloneError {
  const message =
    'the webhook is overloaded: too many large objects are reviewed at once and others wait; try again';
  return new CloneError('LINE_FULL', message, { retryAfterMs });
}
