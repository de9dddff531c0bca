import { createBoundedMap } from './bounded-map.ts';

/** Keeps results for a time; concurrent misses share one load. Failures are not kept. */
export interface TtlCache<Answer> {
  get(key: string, load: () => Promise<Answer>): Promise<Answer>;
  /** The result for `key` that is cached or being loaded. */
  known(key: string): Promise<Answer> | undefined;
  /** Loads again; the result replaces the one that is cached or being loaded. */
  reload(key: string, load: () => Promise<Answer>): Promise<Answer>;
  /**
   * Drops the results whose key begins with `prefix`, except those younger than a second, so that callers cannot force endless
   * loads.
   */
  deletePrefix(prefix: string): void;
}

export interface TtlCacheOptions<Answer> {
  /** From the start of the load. */
  readonly ttlMs: number;
  /** Only the waiting callers get every other result. */
  readonly isKept: (answer: Answer) => boolean;
  readonly maxEntries: number;
  readonly now: () => number;
}

interface Entry<Answer> {
  readonly answer: Promise<Answer>;
  readonly loadedAt: number;
}

const minAgeMs = 1_000;

export function createTtlCache<Answer>(options: TtlCacheOptions<Answer>): TtlCache<Answer> {
  const { ttlMs, isKept, maxEntries, now } = options;
  const entries = createBoundedMap<string, Entry<Answer>>(maxEntries);

  function known(key: string): Promise<Answer> | undefined {
    const entry = entries.get(key);
    return entry !== undefined && now() - entry.loadedAt < ttlMs ? entry.answer : undefined;
  }

  function reload(key: string, load: () => Promise<Answer>): Promise<Answer> {
    const answer = load();
    entries.set(key, { answer, loadedAt: now() });
    const drop = (): void => {
      // A later load may have replaced it.
      if (entries.get(key)?.answer === answer) entries.delete(key);
    };
    answer.then((loaded) => {
      if (!isKept(loaded)) drop();
    }, drop);
    return answer;
  }

  return {
    known,
    get: (key, load) => known(key) ?? reload(key, load),
    reload,
    deletePrefix(prefix) {
      for (const [key, { loadedAt }] of entries.entries()) {
        if (key.startsWith(prefix) && now() - loadedAt >= minAgeMs) entries.delete(key);
      }
    },
  };
}
