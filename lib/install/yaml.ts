import { type Document, parseAllDocuments, stringify } from 'yaml';

/** kubectl reads YAML 1.1, in which `no`, `on` and `1_000` are not strings; a namespace with such a name must be quoted. */
const options = { compat: 'yaml-1.1' } as const;

/** Formats an object so that kubectl reads the same object. */
export function formatYaml(object: unknown): string {
  return stringify(object, { ...options, lineWidth: 0 });
}

/** Parses a stream of documents, which kubectl reads alike when they are edited and written back. */
export function parseYaml(text: string): Document[] {
  return [...parseAllDocuments(text, options)];
}
