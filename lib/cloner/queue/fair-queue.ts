import { CloneError } from '../../errors.ts';
import { addTo, chooseEviction, removeFrom } from './eviction.ts';
import { createSlots, firstSlotMs, maxSlotMs, type Slot } from './slots.ts';

interface QueueKey {
  /** Tasks with the same target run one at a time; namespaces alternate, each in the order of arrival. */
  readonly target: string;
  /** Of the first request. */
  readonly namespace: string;
}

/** A task in the queue. */
export interface QueuedTask<Result> {
  /** The task's result; rejects with the error of the queue if the task was evicted. */
  readonly done: Promise<Result>;
  /** How many tasks begin before it, as far as known; `undefined` once it has begun. */
  ahead(): number | undefined;
  /** Adds a namespace that waits for the same task, which then runs in the earliest slot of any of them. */
  share(namespace: string): void;
}

/** Must fail if its signal is aborted; it is then queued and begun again. */
type Task<Result> = (signal: AbortSignal) => Promise<Result>;

/**
 * A bounded queue with a limited number of slots that namespaces share fairly, however many tasks each has. For preemption and
 * eviction, see lib/decisions/0005-fair-copy-queue.md.
 */
export interface FairQueue {
  /** Throws `CloneError` `LINE_FULL` if the queue is full for this namespace. */
  join<Result>(key: QueueKey, task: Task<Result>): QueuedTask<Result>;
  counts(): { readonly running: number; readonly waiting: number };
  /** Rejects all waiting tasks, and every later one. */
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
  /** The time after which its slot can be preempted. */
  readonly slotMs: number;
  readonly slot: Promise<Slot>;
  readonly begin: (slot: Slot) => void;
  readonly evict: (reason: CloneError) => void;
}

/** A full queue does not empty within seconds. */
const fullRetryMs = 10_000;

export function createFairQueue({ maxRunning, maxWaiting, now }: FairQueueOptions): FairQueue {
  const waiting = new Set<Waiting>();
  /** The waiting tasks of each namespace, in the order of arrival. */
  const queues = new Map<string, Set<Waiting>>();
  const targets = new Map<string, Set<Waiting>>();
  const busy = new Set<string>();
  const slots = createSlots(maxRunning, now);
  let closed: CloneError | undefined;

  function join<Result>({ target, namespace }: QueueKey, task: Task<Result>): QueuedTask<Result> {
    if (closed !== undefined) throw closed;
    slots.noteRequest(namespace);
    const beginsNow = !busy.has(target) && !targets.has(target) && slots.isFreeFor(namespace);
    if (!beginsNow && waiting.size >= maxWaiting) makeRoom(namespace);
    let item = add(target, [namespace], firstSlotMs);
    fillSlots();
    return {
      done: run(),
      ahead: () => (waiting.has(item) ? countBefore(item) : undefined),
      share(other) {
        slots.noteRequest(other);
        if (waiting.has(item)) addNamespace(item, other);
        fillSlots();
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
          item = add(target, item.namespaces, Math.min(maxSlotMs, 2 * item.slotMs));
        } finally {
          slot.end();
          busy.delete(target);
          fillSlots();
        }
      }
    }
  }

  function add(target: string, namespaces: Iterable<string>, slotMs: number): Waiting {
    const { promise: slot, resolve: begin, reject: evict } = Promise.withResolvers<Slot>();
    const item: Waiting = { target, namespaces: new Set(), slotMs, slot, begin, evict };
    waiting.add(item);
    addTo(targets, target, item);
    for (const namespace of namespaces) addNamespace(item, namespace);
    return item;
  }

  function addNamespace(item: Waiting, namespace: string): void {
    item.namespaces.add(namespace);
    addTo(queues, namespace, item);
  }

  function remove(item: Waiting): void {
    waiting.delete(item);
    removeFrom(targets, item.target, item);
    for (const namespace of item.namespaces) removeFrom(queues, namespace, item);
  }

  function fillSlots(): void {
    for (let next = pick(); next !== undefined; next = pick()) {
      const { item, namespace } = next;
      remove(item);
      busy.add(item.target);
      item.begin(slots.begin(namespace, item.slotMs));
    }
    const [first] = sortedQueues().find(([, queue]) => firstOf(queue) !== undefined) ?? [];
    if (first !== undefined) slots.preemptFor(first);
  }

  function pick(): { readonly item: Waiting; readonly namespace: string } | undefined {
    for (const [namespace, queue] of sortedQueues()) {
      const item = slots.isFreeFor(namespace) ? firstOf(queue) : undefined;
      if (item !== undefined) return { item, namespace };
    }
    return undefined;
  }

  /** Skips busy targets: one tag can have hundreds of pinned digests, each of them a copy. */
  function firstOf(queue: ReadonlySet<Waiting>): Waiting | undefined {
    for (const item of queue) if (!busy.has(item.target)) return item;
    return undefined;
  }

  function sortedQueues(): [string, Set<Waiting>][] {
    return [...queues].toSorted(([a], [b]) => slots.compare(a, b));
  }

  /** Simulates the rounds before it; items that overtake a busy target are not predicted. */
  function countBefore(wanted: Waiting): number {
    const begun = new Set<Waiting>();
    let rounds = sortedQueues().map(([, queue]) => queue.values());
    while (rounds.length > 0) {
      const left: typeof rounds = [];
      for (const queue of rounds) {
        const item = nextOf(queue, begun);
        if (item === wanted) return begun.size;
        if (item === undefined) continue;
        begun.add(item);
        left.push(queue);
      }
      rounds = left;
    }
    return begun.size;
  }

  function makeRoom(namespace: string): void {
    // An item that several namespaces wait for belongs to all of them.
    const evicted = chooseEviction(queues, namespace, (item) => item.namespaces.size === 1);
    if (evicted === undefined) throw toFull(namespace, queues.get(namespace)?.size ?? 0);
    remove(evicted.entry);
    evicted.entry.evict(toFull(evicted.namespace, evicted.size));
  }

  function toFull(namespace: string, size: number): CloneError {
    const message = `the copy queue is full: ${maxWaiting} copies wait (MAX_WAITING), ${size} of them for namespace ${namespace}`;
    return new CloneError('LINE_FULL', message, { retryAfterMs: fullRetryMs });
  }

  function close(reason: CloneError): void {
    closed ??= reason;
    for (const item of waiting) {
      remove(item);
      item.evict(reason);
    }
  }

  return {
    join,
    counts: () => ({ running: slots.count(), waiting: waiting.size }),
    close,
  };
}

function nextOf(queue: Iterator<Waiting>, begun: ReadonlySet<Waiting>): Waiting | undefined {
  for (;;) {
    const next = queue.next();
    if (next.done === true) return undefined;
    if (!begun.has(next.value)) return next.value;
  }
}
