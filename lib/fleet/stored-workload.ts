import * as v from 'valibot';
import type { StoredWorkload } from '../ports/index.ts';

const record = v.record(v.string(), v.unknown());
/** `deployment/web` */
export function formatWorkload({ kind, name }: Pick<StoredWorkload, 'kind' | 'name'>): string {
  return `${kind.kind.toLowerCase()}/${name}`;
}

/** The object with one annotation more, or with another value for it. */
export function withAnnotation(object: unknown, key: string, value: string): unknown {
  const whole = toRecord(object);
  const metadata = toRecord(whole['metadata']);
  const annotations = toRecord(metadata['annotations']);
  return { ...whole, metadata: { ...metadata, annotations: { ...annotations, [key]: value } } };
}

/** The object with another value at a JSON pointer (RFC 6901) that exists in it. */
export function replaceAt(object: unknown, pointer: string, value: string): unknown {
  const [, ...path] = pointer.split('/');
  return setBelow(object, path, value);
}

/** What the API server would send about an UPDATE of the stored to `object`; nobody is asked to store anything. */
export function toUpdateReview(stored: StoredWorkload, object: unknown, uid: string): unknown {
  const { group, kind } = stored.kind;
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid,
      kind: { group, version: 'v1', kind },
      operation: 'UPDATE',
      namespace: stored.namespace,
      name: stored.name,
      dryRun: true,
      object,
      oldObject: stored.object,
    },
  };
}

function setBelow(node: unknown, path: readonly string[], value: string): unknown {
  const [head, ...rest] = path;
  if (head === undefined) return value;
  if (Array.isArray(node)) {
    return node.map((item: unknown, index) =>
      String(index) === head ? setBelow(item, rest, value) : item,
    );
  }
  const fields = toRecord(node);
  return { ...fields, [head]: setBelow(fields[head], rest, value) };
}

function toRecord(value: unknown): Readonly<Record<string, unknown>> {
  return v.is(record, value) && !Array.isArray(value) ? value : {};
}
