import { CloneError } from '../../errors.ts';
import { createBoundedMap } from '../../util/bounded-map.ts';

/** One task's time to run. */
export interface Slot {
  readonly namespace: string;
  /** Aborted where another namespace is to have the slot. */
  readonly signal: AbortSignal;
  end(): void;
}

/** A limited number of slots, and which namespaces have them, had them and want them. */
export interface Slots {
  /** How many are taken. */
  count(): number;
  /** Whether this namespace may take one now. */
  isFreeFor(namespace: string): boolean;
  /** After `ms` it may be called back. */
  begin(namespace: string, ms: number): Slot;
  /** Has one of those end whose time is over, where this namespace has none, and has had none for minutes. One at a time. */
  preemptFor(namespace: string): void;
  /** Whose slot it is first: who has the fewest now, then who had his last one longest ago. */
  compare(a: string, b: string): number;
  noteRequest(namespace: string): void;
}

interface Running extends Slot {
  readonly overAt: number;
  readonly called: AbortController;
}

/** Most images are copied by then; of one that is put back whole layers are kept, so that little is done twice. */
export const firstSlotMs = 120_000;
/** The longest: one that never ends would have others wait for days in the end. Whole layers are kept from slot to slot. */
export const maxSlotMs = 3_600_000;
/** For so long the last slot is kept for others than the one who has all: a day, in which most teams deploy. */
const recentMs = 86_400_000;
const maxRecent = 1_000;

export function createSlots(max: number, now: () => number): Slots {
  const running = new Set<Running>();
  /** When each namespace asked last, the latest at the end. */
  const askedAt = createBoundedMap<string, number>(maxRecent);
  /** When each namespace had its last slot, and how many had ended by then. */
  const ended = createBoundedMap<string, { readonly at: number; readonly nth: number }>(maxRecent);
  let ends = 0;
  /** Who asked before a restart is not known: everybody may have. */
  const startedAt = now();

  function begin(namespace: string, ms: number): Slot {
    const called = new AbortController();
    const slot: Running = {
      namespace,
      called,
      signal: called.signal,
      overAt: now() + ms,
      end() {
        running.delete(slot);
        ends += 1;
        ended.set(namespace, { at: now(), nth: ends });
      },
    };
    running.add(slot);
    return slot;
  }

  /** The last slot is for others, where there are any. */
  function isFreeFor(namespace: string): boolean {
    if (running.size >= max) return false;
    // Whoever copies by hand is nobody's neighbour.
    if (max === 1 || namespace === '' || slotsOf(namespace) < max - 1) return true;
    const [, latestAt = startedAt] =
      [...askedAt.entries()].findLast(([other]) => other !== namespace) ?? [];
    return now() - latestAt >= recentMs;
  }

  function preemptFor(namespace: string): void {
    if (running.size < max || slotsOf(namespace) > 0) return;
    // Or two that take hours would put each other back again and again.
    const { at = Number.NEGATIVE_INFINITY } = ended.get(namespace) ?? {};
    if (now() - at < firstSlotMs) return;
    const slots = [...running];
    if (slots.some(({ signal }) => signal.aborted)) return;
    const [longest] = slots
      .filter(({ overAt }) => overAt <= now())
      .toSorted((a, b) => slotsOf(b.namespace) - slotsOf(a.namespace) || a.overAt - b.overAt);
    longest?.called.abort(
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
    noteRequest: (namespace) => askedAt.set(namespace, now()),
  };
}
