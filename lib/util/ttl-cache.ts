import { setRecent } from './bounded-map.ts';
/** Keeps answers for a moment, and asks once for all who ask at the same time. */
export interface TtlCache<Answer> {
  recall(key: string, ask: () => Promise<Answer>): Promise<Answer>;
  /** Drops what begins with `prefix`, except what was asked within the last second: nobody can have us ask without end. */
  forget(prefix: string): void;
}

export interface TtlCacheOptions<Answer> {
  readonly forMs: number;
  readonly maxEntries: number;
  /** What is not worth keeping is given to those who wait for it, and to nobody else. */
  readonly isLasting: (answer: Answer) => boolean;
  readonly now: () => number;
}

interface Memory<Answer> {
  readonly answer: Promise<Answer>;
  readonly since: number;
}

const minAgeMs = 1_000;

export function createTtlCache<Answer>(options: TtlCacheOptions<Answer>): TtlCache<Answer> {
  const { forMs, maxEntries, isLasting, now } = options;
  const memories = new Map<string, Memory<Answer>>();

  return {
    recall(key, ask) {
      const known = memories.get(key);
      if (known !== undefined && now() - known.since < forMs) return known.answer;

      const answer = ask();
      setRecent(memories, key, { answer, since: now() }, maxEntries);
      const drop = (): void => {
        if (memories.get(key)?.answer === answer) memories.delete(key);
      };
      answer.then((given) => {
        if (!isLasting(given)) drop();
      }, drop);
      return answer;
    },
    forget(prefix) {
      for (const [key, { since }] of memories) {
        if (key.startsWith(prefix) && now() - since >= minAgeMs) memories.delete(key);
      }
    },
  };
}
