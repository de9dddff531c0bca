import type { Rewrite } from '../decide-image.ts';
import { formatOriginalImages, originalImagesAnnotation } from '../original-images.ts';
import type { ReviewPlan } from '../plan.ts';

/** The part of RFC 6902 that patches use. */
export interface PatchOperation {
  readonly op: 'test' | 'add' | 'replace';
  readonly path: string;
  readonly value: unknown;
}

/** A `test` precedes each `replace`: the patch fails rather than replace an image that another webhook wrote. */
export function toPatch(
  plan: ReviewPlan,
  rewrites: readonly Rewrite[],
  pullSecrets: readonly string[],
): readonly PatchOperation[] {
  if (rewrites.length === 0) return [];
  const images = rewrites.flatMap(({ place, image }): readonly PatchOperation[] =>
    // The name of an edited copy stays; only its original is recorded.
    image === place.image
      ? []
      : [
          { op: 'test', path: place.pointer, value: place.image },
          { op: 'replace', path: place.pointer, value: image },
        ],
  );
  if (plan.imagesOnly) return images;
  return [...images, ...toAnnotationPatch(plan, rewrites), ...toPullSecretPatch(plan, pullSecrets)];
}

function toAnnotationPatch(
  { workload, recordedOriginals }: ReviewPlan,
  rewrites: readonly Rewrite[],
): readonly PatchOperation[] {
  const originals = new Map([
    ...recordedOriginals,
    ...rewrites.map(({ place, original }) => [place.id, original] as const),
  ]);
  const value = formatOriginalImages(originals);
  if (workload?.annotations.get(originalImagesAnnotation) === value) return [];
  const annotations = { [originalImagesAnnotation]: value };
  switch (workload?.annotationParent) {
    case undefined:
    case 'object':
      return [{ op: 'add', path: '/metadata', value: { annotations } }];
    case 'metadata':
      return [{ op: 'add', path: '/metadata/annotations', value: annotations }];
    case 'annotations': {
      const key = escapePointer(originalImagesAnnotation);
      return [{ op: 'add', path: `/metadata/annotations/${key}`, value }];
    }
  }
}

/** Appends: the pull secrets that the pod names stay. */
function toPullSecretPatch(
  { workload }: ReviewPlan,
  names: readonly string[],
): readonly PatchOperation[] {
  if (workload === undefined || names.length === 0) return [];
  const path = `${workload.podSpec}/imagePullSecrets`;
  const entries = names.map((name) => ({ name }));
  return workload.pullSecrets === undefined
    ? [{ op: 'add', path, value: entries }]
    : entries.map((value) => ({ op: 'add', path: `${path}/-`, value }) as const);
}

/** Escapes `~` and `/` in one segment of a JSON pointer (RFC 6901 §3). */
export function escapePointer(segment: string): string {
  return segment.replaceAll('~', '~0').replaceAll('/', '~1');
}

/** The value of `response.patch`: base64 of the JSON. The JSON is ASCII, because `btoa` accepts no other characters. */
export function encodePatch(operations: readonly PatchOperation[]): string {
  const json = JSON.stringify(operations);
  const ascii = json.replaceAll(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return btoa(ascii);
}
