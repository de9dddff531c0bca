import * as v from 'valibot';

/** What the response of a review does to the object. */
export type Operation =
  | { readonly kind: 'replace'; readonly path: readonly string[]; readonly value: string }
  | { readonly kind: 'add' | 'append'; readonly path: readonly string[]; readonly value: unknown };

const patchSchema = v.pipe(
  v.string(),
  v.parseJson(),
  v.array(
    v.variant('op', [
      v.object({ op: v.literal('test') }),
      v.object({ op: v.literal('replace'), path: v.string(), value: v.string() }),
      v.object({ op: v.literal('add'), path: v.string(), value: v.unknown() }),
    ]),
  ),
);

/** Reads `response.patch`. */
export function parsePatch(patch: string): readonly Operation[] {
  return v.parse(patchSchema, atob(patch)).flatMap((operation): readonly Operation[] => {
    if (operation.op === 'test') return [];
    const path = operation.path.split('/').slice(1).map(unescapePointer);
    if (operation.op === 'replace') return [{ kind: 'replace', path, value: operation.value }];
    const { value } = operation;
    return path.at(-1) === '-'
      ? [{ kind: 'append', path: path.slice(0, -1), value }]
      : [{ kind: 'add', path, value }];
  });
}

/** Returns the object as the API server would store it. */
export function applyOperations(object: unknown, operations: readonly Operation[]): unknown {
  return operations.reduce(
    (whole, { kind, path, value }) => change(whole, path, kind, value),
    object,
  );
}

function change(
  node: unknown,
  [key, ...rest]: readonly string[],
  kind: Operation['kind'],
  value: unknown,
): unknown {
  if (key === undefined)
    return kind === 'append' ? [...v.parse(v.array(v.unknown()), node), value] : value;
  if (Array.isArray(node)) {
    return node.map((item: unknown, index) =>
      String(index) === key ? change(item, rest, kind, value) : item,
    );
  }
  const fields = v.parse(v.record(v.string(), v.unknown()), node);
  return { ...fields, [key]: change(fields[key], rest, kind, value) };
}

/** Whether two values mean the same to the API server: the order of fields does not matter. */
export function isSameJson(a: unknown, b: unknown): boolean {
  return canonical(a) === canonical(b);
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_, field: unknown) =>
    typeof field === 'object' && field !== null && !Array.isArray(field)
      ? Object.fromEntries(Object.entries(field).toSorted(([x], [y]) => (x < y ? -1 : 1)))
      : field,
  );
}

function unescapePointer(segment: string): string {
  return segment.replaceAll('~1', '/').replaceAll('~0', '~');
}
