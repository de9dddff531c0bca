import { CloneError } from '../../errors.ts';
import { setRecent } from '../../util/bounded-map.ts';

/** One task's time to run. */
export interface Turn {
  readonly namespace: string;
  /** Aborted where another namespace is to have the turn. */
  readonly signal: AbortSignal;
  end(): void;
}

/** A limited number of turns, and which namespaces have them, had them and want them. */
export interface Turns {
  /** How many are taken. */
  count(): number;
  /** Whether this namespace may take one now. */
  isFreeFor(namespace: string): boolean;
  /** After `ms` it may be called back. */
  begin(namespace: string, ms: number): Turn;
  /** Has one of those end whose time is over, where this namespace has none, and has had none for minutes. One at a time. */
  callBackFor(namespace: string): void;
  /** Whose turn it is first: who has the fewest now, then who had his last one longest ago. */
  compare(a: string, b: string): number;
  noteAsker(namespace: string): void;
}

interface Running extends Turn {
  readonly overAt: number;
  readonly called: AbortController;
}

/** Most images are copied by then; of one that is put back whole layers are kept, so that little is done twice. */
export const firstTurnMs = 120_000;
/** The longest: one that never ends would have others wait for days in the end. Whole layers are kept from turn to turn. */
export const maxTurnMs = 3_600_000;
/** For so long the last turn is kept for others than the one who has all: a day, in which most teams deploy. */
const recentMs = 86_400_000;
const maxRecent = 1_000;

export function createTurns(max: number, now: () => number): Turns {
  const running = new Set<Running>();
  /** When each namespace asked last, the latest at the end. */
  const askedAt = new Map<string, number>();
  /** When each namespace had its last turn, and how many had ended by then. */
  const ended = new Map<string, { readonly at: number; readonly nth: number }>();
  let ends = 0;
  /** Who asked before a restart is not known: everybody may have. */
  const startedAt = now();

  function begin(namespace: string, ms: number): Turn {
    const called = new AbortController();
    const turn: Running = {
      namespace,
      called,
      signal: called.signal,
      overAt: now() + ms,
      end() {
        running.delete(turn);
        ends += 1;
        setRecent(ended, namespace, { at: now(), nth: ends }, maxRecent);
      },
    };
    running.add(turn);
    return turn;
  }

  /** The last turn is for others, where there are any. */
  function isFreeFor(namespace: string): boolean {
    if (running.size >= max) return false;
    // Whoever copies by hand is nobody's neighbour.
    if (max === 1 || namespace === '' || turnsOf(namespace) < max - 1) return true;
    const [, latestAt = startedAt] = [...askedAt].findLast(([other]) => other !== namespace) ?? [];
    return now() - latestAt >= recentMs;
  }

  function callBackFor(namespace: string): void {
    if (running.size < max || turnsOf(namespace) > 0) return;
    // Or two that take hours would put each other back again and again.
    const { at = Number.NEGATIVE_INFINITY } = ended.get(namespace) ?? {};
    if (now() - at < firstTurnMs) return;
    const turns = [...running];
    if (turns.some(({ signal }) => signal.aborted)) return;
    const [longest] = turns
      .filter(({ overAt }) => overAt <= now())
      .toSorted((a, b) => turnsOf(b.namespace) - turnsOf(a.namespace) || a.overAt - b.overAt);
    longest?.called.abort(
      new CloneError('INTERRUPTED', 'put back in line: others have waited for a turn'),
    );
  }

  function turnsOf(namespace: string): number {
    return [...running].filter((turn) => turn.namespace === namespace).length;
  }

  function compare(a: string, b: string): number {
    return turnsOf(a) - turnsOf(b) || (ended.get(a)?.nth ?? 0) - (ended.get(b)?.nth ?? 0);
  }

  return {
    count: () => running.size,
    isFreeFor,
    begin,
    callBackFor,
    compare,
    noteAsker: (namespace) => setRecent(askedAt, namespace, now(), maxRecent),
  };
}
