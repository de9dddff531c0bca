import type { Document } from 'yaml';
import { parseYaml } from '../../../lib/install/yaml.ts';

/** Changes each object of a YAML stream. */
export function edit(yaml: string, change: (object: Document) => void): string {
  const objects = parseYaml(yaml);
  for (const object of objects) change(object);
  return toYaml(objects);
}

/** Joins documents into one YAML stream. */
export function toYaml(objects: readonly Document[]): string {
  // Only some documents have their own marker.
  return objects.map((object) => String(object).replace(/^---\n/, '')).join('---\n');
}
