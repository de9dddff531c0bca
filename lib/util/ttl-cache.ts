import { createBoundedMap } from './bounded-map.ts';
import { createSingleFlight } from './single-flight.ts';

/** Keeps answers for a time that depends on the answer; concurrent misses share one load. Failures are not kept. */
export interface TtlCache<Answer> {
  get(key: string, load: () => Promise<Answer>): Promise<Answer>;
  /** The answer that is kept, or is on its way, for `key`. */
  known(key: string): Promise<Answer> | undefined;
  /** Loads anew, whatever is kept or on its way, and keeps that. */
  reload(key: string, load: () => Promise<Answer>): Promise<Answer>;
  delete(key: string): void;
  /** Drops the answers whose key begins with `prefix`, except those younger than a second: callers cannot force endless loads. */
  deletePrefix(prefix: string): void;
}

export interface TtlCacheOptions<Answer> {
  /** How long an answer is kept; 0 hands it to the waiting callers only. */
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
