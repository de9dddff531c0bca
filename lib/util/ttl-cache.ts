import { createBoundedMap } from './bounded-map.ts';
import { createSingleFlight } from './single-flight.ts';

/** Keeps results for a time that depends on the result; concurrent misses share one load. Failures are not kept. */
export interface TtlCache<Answer> {
  get(key: string, load: () => Promise<Answer>): Promise<Answer>;
  /** The result for `key` that is cached or being loaded. */
  known(key: string): Promise<Answer> | undefined;
  /** Loads again, whatever is cached or being loaded, and keeps the result. */
  reload(key: string, load: () => Promise<Answer>): Promise<Answer>;
  delete(key: string): void;
  /**
   * Drops the results whose key begins with `prefix`, except those younger than a second, so that callers cannot force endless
   * loads.
   */
  deletePrefix(prefix: string): void;
}

export interface TtlCacheOptions<Answer> {
  /** How long a result is kept; 0 means that only the waiting callers get it. */
  readonly ttlMs: (answer: Answer) => number;
  readonly maxEntries: number;
  readonly now: () => number;
}

interface Entry<Answer> {
  readonly answer: Answer;
  readonly loadedAt: number;
  readonly expiresAt: number;
}

const minAgeMs = 1_000;

export function createTtlCache<Answer>(options: TtlCacheOptions<Answer>): TtlCache<Answer> {
  const { ttlMs, maxEntries, now } = options;
  const entries = createBoundedMap<string, Entry<Answer>>(maxEntries);
  const loads = createSingleFlight<Answer>();

  function find(key: string): Entry<Answer> | undefined {
    const entry = entries.get(key);
    return entry !== undefined && now() < entry.expiresAt ? entry : undefined;
  }

  async function loadAndKeep(key: string, load: () => Promise<Answer>): Promise<Answer> {
    const loadedAt = now();
    const answer = await load();
    const ms = ttlMs(answer);
    if (ms > 0) entries.set(key, { answer, loadedAt, expiresAt: loadedAt + ms });
    return answer;
  }

  function known(key: string): Promise<Answer> | undefined {
    const entry = find(key);
    return entry === undefined ? loads.pending(key) : Promise.resolve(entry.answer);
  }

  return {
    known,
    get: (key, load) => known(key) ?? loads.run(key, () => loadAndKeep(key, load)),
    reload: loadAndKeep,
    delete: (key) => entries.delete(key),
    deletePrefix(prefix) {
      for (const [key, { loadedAt }] of entries.entries()) {
        if (key.startsWith(prefix) && now() - loadedAt >= minAgeMs) entries.delete(key);
      }
    },
  };
}
