import * as v from 'valibot';

const label = 'image-cloner';
const record = v.record(v.string(), v.unknown());

/**
 * The operation (RFC 6902) that keeps the webhook away from what stands at a pointer of an object: '' for itself, or the template of
 * what it makes. What is not there yet is added with it.
 */
export function toOptOut(object: unknown, pointer: string): object {
  const path = `${pointer}/metadata`;
  const metadata = descend(object, path);
  if (metadata === undefined) {
    return { op: 'add', path, value: { labels: { [label]: 'disabled' } } };
  }
  return descend(metadata, '/labels') === undefined
    ? { op: 'add', path: `${path}/labels`, value: { [label]: 'disabled' } }
    : { op: 'add', path: `${path}/labels/${label}`, value: 'disabled' };
}

/** The object at a pointer; `undefined` where there is none, also where it is null. */
function descend(object: unknown, pointer: string): unknown {
  const [, ...path] = pointer.split('/');
  return path.reduce<unknown>((node, key) => {
    const next = v.is(record, node) ? node[key] : undefined;
    return v.is(record, next) ? next : undefined;
  }, object);
}
