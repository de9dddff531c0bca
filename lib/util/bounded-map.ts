/** A map that evicts the entry that was set longest ago if it exceeds its maximum size. */
export interface BoundedMap<Key, Value> {
  get(key: Key): Value | undefined;
  has(key: Key): boolean;
  /** Makes the entry the newest, even if the key exists. */
  set(key: Key, value: Value): void;
  delete(key: Key): void;
  /** Oldest first. */
  entries(): IterableIterator<[Key, Value]>;
}

/** Keys are often names that a workload's author chooses, so every map of them needs a bound. */
export function createBoundedMap<Key, Value>(max: number): BoundedMap<Key, Value> {
  const map = new Map<Key, Value>();

  return {
    get: (key) => map.get(key),
    has: (key) => map.has(key),
    set(key, value) {
      map.delete(key);
      map.set(key, value);
      const [oldest] = map.keys();
      if (map.size > max && oldest !== undefined) map.delete(oldest);
    },
    delete(key) {
      map.delete(key);
    },
    entries: () => map.entries(),
  };
}
