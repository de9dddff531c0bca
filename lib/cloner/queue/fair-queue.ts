import { CloneError } from '../../errors.ts';
import { createSlots, firstSlotMs, maxSlotMs, type Slot } from './slots.ts';

/** What waits in a line, and for whom. */
interface Place {
  /** Only one of those with the same target runs at a time; namespaces take slots at it, each in the order of arrival. */
  readonly target: string;
  /** Whoever asked first. */
  readonly namespace: string;
}

/** One place in the line. */
export interface QueuedTask<Result> {
  /** The task's own result; rejects with the line's reason where its slot never came. */
  readonly done: Promise<Result>;
  /** How many begin before it, as far as one can tell now; `undefined` once it has begun. */
  ahead(): number | undefined;
  /** Another namespace waits for the same: it goes with the earliest slot that any of them gets. */
  share(namespace: string): void;
}

/** Fails when its signal is aborted: it goes back in line then, and is begun anew. */
type Task<Result> = (signal: AbortSignal) => Promise<Result>;

/**
 * A waiting line with fair slots: a limited number of tasks run at once, and when one ends the namespaces that wait take slots,
 * whoever has a thousand waiting like the one who has one. Until others have not asked for a day, no namespace takes the last slot
 * as well: copies from a registry that dribbles may last for hours. Where all slots are taken and a namespace has none, one that has
 * lasted for minutes goes back in line, and has twice the time when it is begun anew, an hour at most. Bounded: in a full line the
 * namespace with the most places loses its last one to a newcomer that has fewer.
 */
export interface FairQueue {
  /** Throws `CloneError` `LINE_FULL` where there is no place for this namespace. */
  join<Result>(place: Place, task: Task<Result>): QueuedTask<Result>;
  counts(): { readonly running: number; readonly waiting: number };
  /** Whoever waits is sent away, and so is who comes. */
  close(reason: CloneError): void;
}

export interface FairQueueOptions {
  readonly maxRunning: number;
  readonly maxWaiting: number;
  readonly now: () => number;
}

interface Waiting {
  readonly target: string;
  readonly namespaces: Set<string>;
  /** How long its slot may last while others have none. */
  readonly slotMs: number;
  readonly slot: Promise<Slot>;
  readonly begin: (slot: Slot) => void;
  readonly drop: (reason: CloneError) => void;
}

/** A full line does not empty within seconds. */
const fullRetryMs = 10_000;

export function createFairQueue({ maxRunning, maxWaiting, now }: FairQueueOptions): FairQueue {
  const waiting = new Set<Waiting>();
  /** What each namespace waits for, in the order of arrival. */
  const queues = new Map<string, Set<Waiting>>();
  const targets = new Map<string, Set<Waiting>>();
  const busy = new Set<string>();
  const slots = createSlots(maxRunning, now);
  let closed: CloneError | undefined;

  function join<Result>({ target, namespace }: Place, task: Task<Result>): QueuedTask<Result> {
    if (closed !== undefined) throw closed;
    slots.noteRequest(namespace);
    const isAtOnce = !busy.has(target) && !targets.has(target) && slots.isFreeFor(namespace);
    if (!isAtOnce && waiting.size >= maxWaiting) makeRoom(namespace);
    let item = wait(target, [namespace], firstSlotMs);
    admit();
    return {
      done: run(),
      ahead: () => (waiting.has(item) ? countBefore(item) : undefined),
      share(other) {
        slots.noteRequest(other);
        if (waiting.has(item)) enqueue(item, other);
        admit();
      },
    };

    async function run(): Promise<Result> {
      for (;;) {
        const slot = await item.slot;
        try {
          return await task(slot.signal);
        } catch (error) {
          if (!slot.signal.aborted) throw error;
          if (closed !== undefined) throw closed;
          item = wait(target, item.namespaces, Math.min(maxSlotMs, 2 * item.slotMs));
        } finally {
          slot.end();
          busy.delete(target);
          admit();
        }
      }
    }
  }

  function wait(target: string, namespaces: Iterable<string>, slotMs: number): Waiting {
    const { promise: slot, resolve: begin, reject: drop } = Promise.withResolvers<Slot>();
    const item: Waiting = { target, namespaces: new Set(), slotMs, slot, begin, drop };
    waiting.add(item);
    addTo(targets, target, item);
    for (const namespace of namespaces) enqueue(item, namespace);
    return item;
  }

  function enqueue(item: Waiting, namespace: string): void {
    item.namespaces.add(namespace);
    addTo(queues, namespace, item);
  }

  function leave(item: Waiting): void {
    waiting.delete(item);
    removeFrom(targets, item.target, item);
    for (const namespace of item.namespaces) removeFrom(queues, namespace, item);
  }

  /** Hands out all slots that there are. */
  function admit(): void {
    for (let next = pick(); next !== undefined; next = pick()) {
      const { item, namespace } = next;
      leave(item);
      busy.add(item.target);
      item.begin(slots.begin(namespace, item.slotMs));
    }
    const [first] = queuesInTurn().find(([, queue]) => firstOf(queue) !== undefined) ?? [];
    if (first !== undefined) slots.preemptFor(first);
  }

  function pick(): { readonly item: Waiting; readonly namespace: string } | undefined {
    for (const [namespace, queue] of queuesInTurn()) {
      const item = slots.isFreeFor(namespace) ? firstOf(queue) : undefined;
      if (item !== undefined) return { item, namespace };
    }
    return undefined;
  }

  /** Not the first that came for its target: a tag has room for hundreds of pinned digests, each of them a copy. */
  function firstOf(queue: ReadonlySet<Waiting>): Waiting | undefined {
    for (const item of queue) if (!busy.has(item.target)) return item;
    return undefined;
  }

  function queuesInTurn(): [string, Set<Waiting>][] {
    return [...queues].toSorted(([a], [b]) => slots.compare(a, b));
  }

  /** Plays the slots that come before it. Whom a busy target lets pass is not foreseen. */
  function countBefore(wanted: Waiting): number {
    const gone = new Set<Waiting>();
    let rounds = queuesInTurn().map(([, queue]) => queue.values());
    while (rounds.length > 0) {
      const left: typeof rounds = [];
      for (const queue of rounds) {
        const item = nextOf(queue, gone);
        if (item === wanted) return gone.size;
        if (item === undefined) continue;
        gone.add(item);
        left.push(queue);
      }
      rounds = left;
    }
    return gone.size;
  }

  /** Sends away the youngest of the namespace that has the most, unless the newcomer's would then have more. */
  function makeRoom(namespace: string): void {
    const mine = queues.get(namespace)?.size ?? 0;
    const [longest] = [...queues].toSorted(([, a], [, b]) => b.size - a.size);
    const size = longest?.[1].size ?? 0;
    // What others wait for, too, is theirs as well.
    const last = [...(longest?.[1] ?? [])].findLast((item) => item.namespaces.size === 1);
    if (longest === undefined || last === undefined || size <= mine + 1) {
      throw toFull(namespace, mine);
    }
    leave(last);
    last.drop(toFull(longest[0], size));
  }

  function toFull(namespace: string, size: number): CloneError {
    const message = `the copy queue is full: ${maxWaiting} copies wait (MAX_WAITING), ${size} of them for namespace ${namespace}`;
    return new CloneError('LINE_FULL', message, { retryAfterMs: fullRetryMs });
  }

  function close(reason: CloneError): void {
    closed ??= reason;
    for (const item of waiting) {
      leave(item);
      item.drop(reason);
    }
  }

  return {
    join,
    counts: () => ({ running: slots.count(), waiting: waiting.size }),
    close,
  };
}

function nextOf(queue: Iterator<Waiting>, gone: ReadonlySet<Waiting>): Waiting | undefined {
  for (;;) {
    const next = queue.next();
    if (next.done === true) return undefined;
    if (!gone.has(next.value)) return next.value;
  }
}

function addTo<Item>(sets: Map<string, Set<Item>>, key: string, item: Item): void {
  const set = sets.get(key) ?? new Set();
  set.add(item);
  sets.set(key, set);
}

function removeFrom<Item>(sets: Map<string, Set<Item>>, key: string, item: Item): void {
  const set = sets.get(key);
  set?.delete(item);
  if (set?.size === 0) sets.delete(key);
}
