import { CloneError } from '../errors.ts';
import { setRecent } from './set-recent.ts';

/** What waits in a line, and for whom. */
interface Place {
  /** Only one of those with the same target runs at a time; namespaces take turns at it, each in the order of arrival. */
  readonly target: string;
  /** Whoever asked first. */
  readonly namespace: string;
}

/** One place in the line. */
export interface Ticket<Result> {
  /** The task's own result; rejects with the line's reason where its turn never came. */
  readonly done: Promise<Result>;
  /** How many begin before it, as far as one can tell now; `undefined` once it has begun. */
  ahead(): number | undefined;
  /** Another namespace waits for the same: it goes with the earliest turn that any of them gets. */
  share(namespace: string): void;
}

/**
 * A waiting line with fair turns: a limited number of tasks run at once, and when one ends the namespaces that wait take turns,
 * whoever has a thousand waiting like the one who has one. Until others have not asked for a day, no namespace takes the last turn
 * as well: copies from a registry that dribbles may last for hours. Bounded: in a full line the namespace with the most places loses
 * its last one to a newcomer that has fewer.
 */
export interface Line {
  /** Throws `CloneError` `LINE_FULL` where there is no place for this namespace. */
  join<Result>(place: Place, task: () => Promise<Result>): Ticket<Result>;
  counts(): { readonly running: number; readonly waiting: number };
  /** Whoever waits is sent away, and so is who comes. */
  close(reason: CloneError): void;
}

export interface LineOptions {
  readonly maxRunning: number;
  readonly maxWaiting: number;
  readonly now: () => number;
}

interface Waiting {
  readonly target: string;
  readonly namespaces: Set<string>;
  /** It takes the turn of this namespace. */
  readonly begin: (namespace: string) => void;
  readonly drop: (reason: CloneError) => void;
}

/** A full line does not empty within seconds. */
const fullRetryMs = 10_000;
/** For so long the last turn is kept for others than the one who has all: a day, in which most teams deploy. */
const recentMs = 86_400_000;
const maxRecent = 1_000;

export function createLine({ maxRunning, maxWaiting, now }: LineOptions): Line {
  const waiting = new Set<Waiting>();
  /** The order of the namespaces is that of their turns; in each the order is that of arrival. */
  const queues = new Map<string, Set<Waiting>>();
  const targets = new Map<string, Set<Waiting>>();
  const busy = new Set<string>();
  /** How many turns each namespace has now. */
  const turnsOf = new Map<string, number>();
  /** When each namespace asked last, the latest at the end. */
  const askedAt = new Map<string, number>();
  /** Who asked before a restart is not known: everybody may have. */
  const startedAt = now();
  let running = 0;
  let closed: CloneError | undefined;

  function join<Result>({ target, namespace }: Place, task: () => Promise<Result>): Ticket<Result> {
    if (closed !== undefined) throw closed;
    const turn = Promise.withResolvers<string>();
    const item: Waiting = {
      target,
      namespaces: new Set(),
      begin: turn.resolve,
      drop: turn.reject,
    };
    noteAsker(namespace);
    const isAtOnce =
      running < maxRunning && !busy.has(target) && !targets.has(target) && mayTakeTurn(namespace);
    if (!isAtOnce && waiting.size >= maxWaiting) makeRoom(namespace);
    waiting.add(item);
    addTo(targets, target, item);
    enqueue(item, namespace);
    admit();
    return {
      done: run(),
      ahead: () => (waiting.has(item) ? countBefore(item) : undefined),
      share(other) {
        noteAsker(other);
        if (waiting.has(item)) enqueue(item, other);
        admit();
      },
    };

    async function run(): Promise<Result> {
      const owner = await turn.promise;
      try {
        return await task();
      } finally {
        running -= 1;
        turnsOf.set(owner, turnsIn(owner) - 1);
        if (turnsIn(owner) === 0) turnsOf.delete(owner);
        busy.delete(target);
        admit();
      }
    }
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

  /** Hands out all turns that there are. */
  function admit(): void {
    while (running < maxRunning) {
      const next = pick();
      if (next === undefined) return;
      const { item, namespace } = next;
      leave(item);
      // Its turn is over: it goes behind the others.
      const queue = queues.get(namespace);
      if (queue !== undefined) {
        queues.delete(namespace);
        queues.set(namespace, queue);
      }
      running += 1;
      turnsOf.set(namespace, turnsIn(namespace) + 1);
      busy.add(item.target);
      item.begin(namespace);
    }
  }

  function pick(): { readonly item: Waiting; readonly namespace: string } | undefined {
    for (const [namespace, queue] of queues) {
      if (!mayTakeTurn(namespace)) continue;
      // Not the first that came for its target: a tag has room for hundreds of pinned digests, each of them a copy.
      for (const item of queue) if (!busy.has(item.target)) return { item, namespace };
    }
    return undefined;
  }

  /** The last turn is for others, where there are any. */
  function mayTakeTurn(namespace: string): boolean {
    // Whoever copies by hand is nobody's neighbour.
    if (maxRunning === 1 || namespace === '' || turnsIn(namespace) < maxRunning - 1) return true;
    const [, latestAt = startedAt] = [...askedAt].findLast(([other]) => other !== namespace) ?? [];
    return now() - latestAt >= recentMs;
  }

  function turnsIn(namespace: string): number {
    return turnsOf.get(namespace) ?? 0;
  }

  function noteAsker(namespace: string): void {
    setRecent(askedAt, namespace, now(), maxRecent);
  }

  /** Plays the turns that come before it. Whom a busy target lets pass is not foreseen. */
  function countBefore(wanted: Waiting): number {
    const gone = new Set<Waiting>();
    let rounds = [...queues.values()].map((queue) => queue.values());
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
    const message = `the line is full: ${maxWaiting} copies wait for their turn (MAX_WAITING), ${size} of them for namespace ${namespace}`;
    return new CloneError('LINE_FULL', message, { retryAfterMs: fullRetryMs });
  }

  function close(reason: CloneError): void {
    closed ??= reason;
    for (const item of waiting) {
      leave(item);
      item.drop(reason);
    }
  }

  return { join, counts: () => ({ running, waiting: waiting.size }), close };
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
