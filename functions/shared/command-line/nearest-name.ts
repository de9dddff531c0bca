import { editDistance } from '../../../lib/util/edit-distance.ts';

/** The name that a misspelt or shortened `word` most likely means. */
export function nearestName(word: string, names: readonly string[]): string | undefined {
  const normalized = word.toLowerCase().replace(/^-+/, '').replaceAll('_', '-');
  const [nearest] = names
    .map((name) => ({ name, distance: editDistance(normalized, name) }))
    .filter(({ name, distance }) => distance <= Math.max(1, Math.floor(name.length / 3)))
    .toSorted((a, b) => a.distance - b.distance);
  if (nearest !== undefined) return nearest.name;
  return names.find((name) => normalized.length > 2 && name.startsWith(normalized));
}
