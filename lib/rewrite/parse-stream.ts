import * as v from 'valibot';
import { type Document, parseAllDocuments } from 'yaml';

/** One object of a stream, or of a list in it. */
export interface ManifestObject {
  readonly document: Document.Parsed;
  /** Where the object is in its document: `['items', 0]`. */
  readonly path: readonly (string | number)[];
  readonly value: Readonly<Record<string, unknown>>;
  /** `deployment/web`, for messages. */
  readonly label: string;
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly namespace: string | undefined;
  readonly name: string;
  /** In the text. */
  readonly offset: number;
}

interface StreamProblem {
  readonly message: string;
  readonly offset: number;
}

export interface Stream {
  readonly documents: readonly Document.Parsed[];
  readonly objects: readonly ManifestObject[];
  readonly problems: readonly StreamProblem[];
}

const text = v.fallback(v.optional(v.string(), ''), '');
const head = v.object({
  apiVersion: v.string(),
  kind: v.string(),
  metadata: v.optional(v.unknown()),
});
const metadataSchema = v.object({ name: text, generateName: text, namespace: text });
const record = v.record(v.string(), v.unknown());
const list = v.looseObject({
  kind: v.pipe(v.string(), v.endsWith('List')),
  items: v.array(v.unknown()),
});

/** Parses YAML 1.2 or JSON. Objects are those with `apiVersion` and `kind`, also in lists; everything else is left alone. */
export function parseStream(source: string): Stream {
  const documents: Document.Parsed[] = [];
  const objects: ManifestObject[] = [];
  const problems: StreamProblem[] = [];
  // kubectl accepts merge keys.
  for (const document of parseAllDocuments(source, { keepSourceTokens: true, merge: true })) {
    documents.push(document);
    const [error] = document.errors;
    if (error !== undefined) {
      problems.push({ message: toSentence(error.message), offset: error.pos[0] });
      continue;
    }
    try {
      objects.push(...findObjects(document, document.toJS(), []));
    } catch (failure) {
      // An alias that is never defined, or aliases of aliases.
      if (!(failure instanceof Error)) throw failure;
      problems.push({ message: failure.message, offset: document.range[0] });
    }
  }
  return { documents, objects, problems };
}

function findObjects(
  document: Document.Parsed,
  value: unknown,
  path: ManifestObject['path'],
): readonly ManifestObject[] {
  if (v.is(list, value)) {
    return value.items.flatMap((item, index) =>
      findObjects(document, item, [...path, 'items', index]),
    );
  }
  const { success, output } = v.safeParse(head, value);
  if (!success || !v.is(record, value)) return [];
  const { apiVersion, kind } = output;
  // The review itself reports what is malformed.
  const metadata = v.is(record, output.metadata)
    ? v.parse(metadataSchema, output.metadata)
    : undefined;
  const [version = '', group = ''] = apiVersion.split('/').toReversed();
  const name = metadata?.name || metadata?.generateName || '';
  const node = path.length === 0 ? document.contents : document.getIn(path, true);
  return [
    {
      document,
      path,
      value,
      label: `${kind.toLowerCase()}/${name}`,
      group,
      version,
      kind,
      namespace: metadata?.namespace || undefined,
      name,
      offset: offsetOf(node) ?? document.range[0],
    },
  ];
}

/** Where a node begins. */
function offsetOf(node: unknown): number | undefined {
  const { success, output } = v.safeParse(
    v.object({ range: v.tupleWithRest([v.number()], v.number()) }),
    node,
  );
  return success ? output.range[0] : undefined;
}

/** The parser adds an excerpt of the text. */
function toSentence(message: string): string {
  const [first = message] = message.split('\n');
  return first.replace(/ at line \d+, column \d+:?$/, '');
}
