import * as v from 'valibot';
import { escapePointer } from '../../admission/answer/index.ts';
import { backfillAnnotation } from '../../admission/decide-image.ts';
import { originalImagesAnnotation } from '../../admission/original-images.ts';
import type { Workload } from '../../admission/workload.ts';
import type { StoredWorkload } from '../../ports/index.ts';
import type { CopyPlace } from './copy-places.ts';

const managedFieldsSchema = v.object({
  metadata: v.object({
    managedFields: v.optional(
      v.array(v.object({ manager: v.optional(v.string()), subresource: v.optional(v.string()) })),
      [],
    ),
  }),
});

/**
 * Returns the operations (RFC 6902) that put the known originals back, guarded by tests of the current values, and remove the
 * traces of the webhook. The record stays as long as it is needed. Empty if no original is known.
 */
export function toRestoreOperations(
  workload: Workload,
  places: readonly CopyPlace[],
  backupPullSecret: string | undefined,
): readonly object[] {
  const images = places.flatMap(({ place, original }) =>
    original === undefined
      ? []
      : [
          { op: 'test', path: place.pointer, value: place.image },
          { op: 'replace', path: place.pointer, value: original },
        ],
  );
  if (images.length === 0) return [];
  const isComplete = places.every(({ original }) => original !== undefined);
  const obsolete = [...(isComplete ? [originalImagesAnnotation] : []), backfillAnnotation];
  const annotations = obsolete.filter((key) => workload.annotations.has(key));
  return [
    ...images,
    ...(isComplete ? toPullSecretOperations(workload, backupPullSecret) : []),
    ...annotations.map((key) => ({
      op: 'remove',
      path: `/metadata/annotations/${escapePointer(key)}`,
    })),
  ];
}

/** Removes the whole field with its last entry, so that the pull secrets of the ServiceAccount apply again. */
function toPullSecretOperations(
  { podSpec, pullSecrets = [] }: Workload,
  name: string | undefined,
): readonly object[] {
  const index = name === undefined ? -1 : pullSecrets.indexOf(name);
  if (index < 0) return [];
  const list = `${podSpec}/imagePullSecrets`;
  const path = pullSecrets.length === 1 ? list : `${list}/${index}`;
  return [
    { op: 'test', path: `${list}/${index}/name`, value: name },
    { op: 'remove', path },
  ];
}

/**
 * Returns the operations that remove a manager's entry from `metadata.managedFields`. As long as it owns the fields, a
 * server-side apply of other values reports a conflict.
 */
export function toReleaseOperations(
  { object }: StoredWorkload,
  manager: string,
): readonly object[] {
  const { metadata } = v.parse(managedFieldsSchema, object);
  const index = metadata.managedFields.findIndex(
    (entry) => entry.manager === manager && entry.subresource === undefined,
  );
  if (index < 0) return [];
  const path = `/metadata/managedFields/${index}`;
  return [
    { op: 'test', path: `${path}/manager`, value: manager },
    { op: 'remove', path },
  ];
}
