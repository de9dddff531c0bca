/**
 * Sets an entry as the latest of a map, and forgets the one that was set longest ago where there are more than `max`: hosts and
 * images are invented by whoever writes a manifest, and memory is not.
 */
export function setRecent<Key, Value>(
  map: Map<Key, Value>,
  key: Key,
  value: Value,
  max: number,
): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > max && oldest !== undefined) map.delete(oldest);
}
