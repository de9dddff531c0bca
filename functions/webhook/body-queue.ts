import { CloneError } from '../../lib/index.ts';

/** An API server's reviews are smaller, but for a few objects. */
const ordinaryBytes = 64 * 1024;
/** In flight at once: what a review keeps while registries are silent may be eight times its body. */
const maxBytesAtOnce = 16 * 1024 * 1024;
/** A body that does not say how long it is counts as that. */
const unknownBytes = 4 * 1024 * 1024;
/** Only a large body can have too many. */
const fewPartsBytes = 256 * 1024;
/** 8 MiB of empty lists keep the parser busy for seconds, and become hundreds of megabytes. */
const maxParts = 500_000;
const openBrace = 0x7b;
const openBracket = 0x5b;

/** While others wait: time enough for a body to arrive and for registries to answer, and little enough for those who wait. */
const maxHeldMs = 2_000;
const retryAfterMs = 2_000;

/** What it cost a body to be let in, and what ends it. */
export interface Turn {
  readonly waitedMs: number;
  /** Aborted with `CloneError` `LINE_FULL` where others are to have the room; absent where it takes none. */
  readonly over?: AbortSignal;
}

type Work<Result> = (turn: Turn) => Promise<Result>;

const atOnce: Turn = { waitedMs: 0 };

interface Body {
  readonly bytes: number;
  readonly over: AbortController;
}

/**
 * Runs `work` at once for a body of an ordinary size; of larger ones, or of those that do not say how long they are, as many as have
 * 16 MiB together. The others wait unread, so that whoever sends many of them together cannot fill our memory: the smallest first, and
 * while any waits, those that have been let in have two seconds. Bodies that never arrive, and objects whose registries are silent, kept
 * everybody else out.
 */
export function createBodyQueue(
  now: () => number = () => performance.now(),
): <Result>(bytes: number | undefined, work: Work<Result>) => Promise<Result> {
  const waiting: { readonly bytes: number; readonly begin: () => void }[] = [];
  /** And since when; the oldest first. */
  const held = new Map<Body, number>();
  let timer: NodeJS.Timeout | undefined;

  function admit(): void {
    for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
      if (sum(held.keys()) + next.bytes > maxBytesAtOnce) break;
      waiting.shift();
      next.begin();
    }
    hurry();
  }

  /** Has as many of the oldest make room as the next one needs. */
  function hurry(): void {
    clearTimeout(timer);
    const [next] = waiting;
    const staying = [...held].filter(([{ over }]) => !over.signal.aborted);
    const [[oldest, since] = []] = staying;
    if (next === undefined || oldest === undefined || since === undefined) return;
    if (sum(staying.map(([body]) => body)) + next.bytes <= maxBytesAtOnce) return;
    timer = setTimeout(
      () => {
        oldest.over.abort(toNoRoom());
        hurry();
      },
      Math.max(0, since + maxHeldMs - now()),
    );
  }

  return async (bytes = unknownBytes, work) => {
    if (bytes <= ordinaryBytes) return await work(atOnce);
    const body = { bytes, over: new AbortController() };
    const arrivedAt = now();
    const turn = Promise.withResolvers<undefined>();
    const begin = (): void => {
      held.set(body, now());
      turn.resolve(undefined);
    };
    const larger = waiting.findIndex((other) => other.bytes > bytes);
    waiting.splice(larger < 0 ? waiting.length : larger, 0, { bytes, begin });
    admit();
    const isAtOnce = held.has(body);
    await turn.promise;
    try {
      return await work({ waitedMs: isAtOnce ? 0 : now() - arrivedAt, over: body.over.signal });
    } finally {
      held.delete(body);
      admit();
    }
  };
}

function sum(bodies: Iterable<Body>): number {
  let bytes = 0;
  for (const body of bodies) bytes += body.bytes;
  return bytes;
}

/** For those who come back and find room. */
export function toNoRoom(): CloneError {
  const message = 'too many large objects are looked at at this moment, and others wait';
  return new CloneError('LINE_FULL', message, { retryAfterMs });
}

/** Whether the JSON has more objects and lists than an object that can be stored. */
export function hasTooManyParts(text: string): boolean {
  if (text.length <= fewPartsBytes) return false;
  let parts = 0;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code === openBrace || code === openBracket) parts += 1;
  }
  return parts > maxParts;
}
