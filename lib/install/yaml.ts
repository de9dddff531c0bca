import { type Document, parseAllDocuments, stringify } from 'yaml';

/** kubectl reads YAML 1.1, to which `no`, `on` and `1_000` are no texts: a namespace that is called so has to be quoted. */
const options = { compat: 'yaml-1.1' } as const;

/** An object as kubectl reads it. */
export function formatYaml(object: unknown): string {
  return stringify(object, { ...options, lineWidth: 0 });
}

/** The objects of a stream; what is changed in them and written again is what kubectl reads. */
export function parseYaml(text: string): Document[] {
  return [...parseAllDocuments(text, options)];
}
