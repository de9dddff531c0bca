import { CloneError } from '../../errors.ts';
import { createBoundedMap } from '../../util/bounded-map.ts';

/** The slot of one running task. */
export interface Slot {
  readonly namespace: string;
  /** Aborted if another namespace gets the slot. */
  readonly signal: AbortSignal;
  end(): void;
}

/** A limited number of slots, shared fairly between namespaces. */
export interface Slots {
  /** The number of slots in use. */
  count(): number;
  /** Whether this namespace may take a slot now. */
  isFreeFor(namespace: string): boolean;
  /** Takes a slot, which can be preempted after `ms`. */
  begin(namespace: string, ms: number): Slot;
  /** Preempts one expired slot if this namespace has none, and has had none for minutes. */
  preemptFor(namespace: string): void;
  /** Orders namespaces: those with the fewest slots first, then by the end of their last slot, oldest first. */
  compare(a: string, b: string): number;
  noteRequest(namespace: string): void;
}

interface Running extends Slot {
  readonly expiresAt: number;
  readonly controller: AbortController;
}

/** Enough for most images; a preempted copy keeps its complete layers. */
export const firstSlotMs = 120_000;
/** Bounds how long others wait for a copy that never ends. */
export const maxSlotMs = 3_600_000;
/** For a day after a request of another namespace, the last slot is reserved for others: most teams deploy daily. */
const recentMs = 86_400_000;
const maxRecent = 1_000;

export function createSlots(max: number, now: () => number): Slots {
  const running = new Set<Running>();
  /** The last request of each namespace, the newest at the end. */
  const requestedAt = createBoundedMap<string, number>(maxRecent);
  /** The last slot of each namespace. */
  const ended = createBoundedMap<string, { readonly at: number; readonly nth: number }>(maxRecent);
  let ends = 0;
  /** Requests before a restart are unknown, so the start counts as a request of every namespace. */
  const startedAt = now();

  function begin(namespace: string, ms: number): Slot {
    const controller = new AbortController();
    const slot: Running = {
      namespace,
      controller,
      signal: controller.signal,
      expiresAt: now() + ms,
      end() {
        running.delete(slot);
        ends += 1;
        ended.set(namespace, { at: now(), nth: ends });
      },
    };
    running.add(slot);
    return slot;
  }

  function isFreeFor(namespace: string): boolean {
    if (running.size >= max) return false;
    // Copies by hand have no namespace and need no fairness.
    if (max === 1 || namespace === '' || slotsOf(namespace) < max - 1) return true;
    const others = [...requestedAt.entries()].findLast(([other]) => other !== namespace);
    const [, latestAt = startedAt] = others ?? [];
    return now() - latestAt >= recentMs;
  }

  function preemptFor(namespace: string): void {
    if (running.size < max || slotsOf(namespace) > 0) return;
    // Otherwise two copies that take hours would preempt each other for ever.
    const { at = Number.NEGATIVE_INFINITY } = ended.get(namespace) ?? {};
    if (now() - at < firstSlotMs) return;
    const slots = [...running];
    if (slots.some(({ signal }) => signal.aborted)) return;
    const [longest] = slots
      .filter(({ expiresAt }) => expiresAt <= now())
      .toSorted((a, b) => slotsOf(b.namespace) - slotsOf(a.namespace) || a.expiresAt - b.expiresAt);
    longest?.controller.abort(
      new CloneError('INTERRUPTED', 'preempted: other namespaces wait for a slot'),
    );
  }

  function slotsOf(namespace: string): number {
    return [...running].filter((slot) => slot.namespace === namespace).length;
  }

  function compare(a: string, b: string): number {
    return slotsOf(a) - slotsOf(b) || (ended.get(a)?.nth ?? 0) - (ended.get(b)?.nth ?? 0);
  }

  return {
    count: () => running.size,
    isFreeFor,
    begin,
    preemptFor,
    compare,
    noteRequest: (namespace) => requestedAt.set(namespace, now()),
  };
}
