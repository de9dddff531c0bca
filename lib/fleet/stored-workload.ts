import * as v from 'valibot';
import { parseReview } from '../admission/review.ts';
import { parseWorkload, type Workload } from '../admission/workload.ts';
import type { StoredWorkload } from '../ports/index.ts';

const record = v.record(v.string(), v.unknown());

/** `deployment/web` */
export function formatWorkload({ kind, name }: Pick<StoredWorkload, 'kind' | 'name'>): string {
  return `${kind.kind.toLowerCase()}/${name}`;
}

/** Parses the object of a stored workload. Throws `CloneError` `INVALID_REVIEW` if it is malformed. */
export function parseStoredObject(stored: StoredWorkload): Workload {
  return parseWorkload(parseReview(toUpdateReview(stored, stored.object, 'read')), 'object');
}

/** Why the images of an object must not be changed, whatever they are; `undefined` if they may. */
export function explainImmutable(
  { kind }: StoredWorkload,
  { controller }: Workload,
): string | undefined {
  if (controller !== undefined) return `${controller.kind} controls it`;
  if (kind.kind === 'Job') return 'the template of a Job is immutable';
  return kind.kind === 'Pod' ? 'a running pod is not changed' : undefined;
}

/** Whether the object has one of the annotations. It may be malformed in any other respect. */
export function hasAnnotation({ object }: StoredWorkload, keys: readonly string[]): boolean {
  const annotations = toRecord(descend(object, '/metadata/annotations'));
  return keys.some((key) => annotations[key] !== undefined);
}

/** Returns a copy of the object with the annotation. */
export function withAnnotation(object: unknown, key: string, value: string): unknown {
  const whole = toRecord(object);
  const metadata = toRecord(whole['metadata']);
  const annotations = toRecord(metadata['annotations']);
  return { ...whole, metadata: { ...metadata, annotations: { ...annotations, [key]: value } } };
}

/** Returns a copy of the object with another value at a JSON pointer (RFC 6901), which must exist. */
export function replaceAt(object: unknown, pointer: string, value: string): unknown {
  const [, ...path] = pointer.split('/');
  return replaceBelow(object, path, value);
}

/** Returns the review that the API server would send for an UPDATE of the workload to `object`. */
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

function replaceBelow(node: unknown, path: readonly string[], value: string): unknown {
  const [head, ...rest] = path;
  if (head === undefined) return value;
  if (Array.isArray(node)) {
    return node.map((item: unknown, index) =>
      String(index) === head ? replaceBelow(item, rest, value) : item,
    );
  }
  const fields = toRecord(node);
  return { ...fields, [head]: replaceBelow(fields[head], rest, value) };
}

/** Returns what is at a pointer, or `undefined` if it is missing or null. */
export function descend(object: unknown, pointer: string): unknown {
  const [, ...path] = pointer.split('/');
  return path.reduce<unknown>((node, key) => toRecord(node)[key] ?? undefined, object);
}

/** Returns `value`, or an empty object if it is none. */
function toRecord(value: unknown): Readonly<Record<string, unknown>> {
  return v.is(record, value) && !Array.isArray(value) ? value : {};
}
