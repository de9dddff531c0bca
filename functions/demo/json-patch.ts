import type { PatchOperation } from './review-response.ts';

/** Applies `test`, `add` and `replace` of RFC 6902 to a copy of an object, as the API server does. */
export function applyPatch(object: object, patch: readonly PatchOperation[]): object {
  const copy = structuredClone(object);
  for (const { op, path, value } of patch) {
    const keys = path.split('/').slice(1).map(unescapePointer);
    const last = keys.pop() ?? '';
    const parent = keys.reduce<unknown>(childOf, copy);
    if (typeof parent !== 'object' || parent === null) throw new Error(`nothing is at ${path}`);
    const current: unknown = Reflect.get(parent, last);
    if (op === 'test' && JSON.stringify(current) !== JSON.stringify(value)) {
      throw new Error(`something else is at ${path}`);
    }
    if (op === 'replace' && current === undefined) throw new Error(`nothing is at ${path}`);
    if (op === 'add' && Array.isArray(parent) && last === '-') parent.push(value);
    else if (op !== 'test') Reflect.set(parent, last, value);
  }
  return copy;
}

function childOf(node: unknown, key: string): unknown {
  return typeof node === 'object' && node !== null ? Reflect.get(node, key) : undefined;
}

function unescapePointer(part: string): string {
  return part.replaceAll('~1', '/').replaceAll('~0', '~');
}
