/** Entries by namespace, each in the order of arrival. */
type Groups<Entry> = ReadonlyMap<string, ReadonlySet<Entry>>;

export interface Eviction<Entry> {
  readonly entry: Entry;
  readonly namespace: string;
  /** The number of entries of that namespace. */
  readonly size: number;
}

/**
 * Chooses the entry to evict for a newcomer: the newest evictable one of the namespace with the most entries. `undefined` if
 * the newcomer's namespace would then have more.
 */
export function chooseEviction<Entry>(
  groups: Groups<Entry>,
  newcomer: string,
  isEvictable: (entry: Entry) => boolean = () => true,
): Eviction<Entry> | undefined {
  const own = groups.get(newcomer)?.size ?? 0;
  const [largest] = [...groups].toSorted(([, a], [, b]) => b.size - a.size);
  if (largest === undefined) return undefined;
  const [namespace, entries] = largest;
  const entry = [...entries].findLast(isEvictable);
  return entry === undefined || entries.size <= own + 1
    ? undefined
    : { entry, namespace, size: entries.size };
}

/** A map of sets in which no set is empty. */
export function addTo<Entry>(groups: Map<string, Set<Entry>>, key: string, entry: Entry): void {
  const group = groups.get(key) ?? new Set();
  groups.set(key, group.add(entry));
}

export function removeFrom<Entry>(
  groups: Map<string, Set<Entry>>,
  key: string,
  entry: Entry,
): void {
  const group = groups.get(key);
  group?.delete(entry);
  if (group?.size === 0) groups.delete(key);
}
