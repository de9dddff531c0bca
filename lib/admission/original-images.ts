import * as v from 'valibot';
import { CloneError } from '../errors.ts';
import { type BackupLocation, backupReference } from '../image/backup-name.ts';
import { parseReference, type Reference } from '../image/reference.ts';
import { stringMap } from './review.ts';
import type { ImagePlace } from './workload.ts';

/** Written to the metadata of the object, because a change of the pod template restarts pods. */
export const originalImagesAnnotation = 'image-cloner/original-images';

const annotationSchema = v.fallback(v.pipe(v.string(), v.parseJson(), stringMap), undefined);

/** Place id (`containers/web`) → original image. Empty if the annotation, which any client can write, cannot be parsed. */
export function parseOriginalImages(text: string | undefined): ReadonlyMap<string, string> {
  if (text === undefined) return new Map();
  return new Map(Object.entries(v.parse(annotationSchema, text, { abortEarly: true }) ?? {}));
}

export function formatOriginalImages(images: ReadonlyMap<string, string>): string {
  return JSON.stringify(Object.fromEntries([...images].toSorted(([a], [b]) => (a < b ? -1 : 1))));
}

/**
 * The original of `image`, which is a copy: the first entry of the place in `records`. Any client can write the annotation,
 * so an entry whose backup is not `image` is ignored.
 */
export function findOriginal(
  { id, position }: Pick<ImagePlace, 'id' | 'position'>,
  image: Reference,
  records: readonly ReadonlyMap<string, string>[],
  backup: BackupLocation,
): string | undefined {
  const recorded = recordedOf({ id, position }, records);
  if (recorded === undefined) return undefined;
  const original = tryParse(recorded);
  if (original instanceof CloneError) return undefined;
  return isSameTag(backupReference(original, backup), image) ? recorded : undefined;
}

/** The first entry of a place in `records`, which may be the entry of another image. */
export function recordedOf(
  { id, position }: Pick<ImagePlace, 'id' | 'position'>,
  records: readonly ReadonlyMap<string, string>[],
): string | undefined {
  return records
    .flatMap((record) => [record.get(id), record.get(position)])
    .find((text) => text !== undefined);
}

export function tryParse(image: string): Reference | CloneError {
  try {
    return parseReference(image);
  } catch (error) {
    if (error instanceof CloneError) return error;
    throw error;
  }
}

export function isSameTag(a: Reference, b: Reference): boolean {
  return a.domain === b.domain && a.path === b.path && a.tag === b.tag;
}
