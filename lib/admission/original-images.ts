import * as v from 'valibot';
import { CloneError } from '../errors.ts';
import { type BackupLocation, backupReference } from '../image/backup-name.ts';
import { parseReference, type Reference } from '../image/reference.ts';
import { stringMap } from './review.ts';
import type { ImagePlace } from './workload.ts';

/** On the object's own metadata, never on the pod template: a change there would restart pods. */
export const originalImagesAnnotation = 'image-cloner/original-images';

/** Reads the annotation: place (`containers/web`) → image as the person wrote it. Anybody may have written it, so it may be nonsense: then it is empty. */
export function parseOriginalImages(text: string | undefined): ReadonlyMap<string, string> {
  if (text === undefined) return new Map();
  try {
    return new Map(
      Object.entries(v.parse(stringMap, JSON.parse(text), { abortEarly: true }) ?? {}),
    );
  } catch {
    // Not JSON, or not a map of strings: someone else's writing, which only means that we know no originals.
    return new Map();
  }
}

export function formatOriginalImages(images: ReadonlyMap<string, string>): string {
  return JSON.stringify(Object.fromEntries([...images].toSorted(([a], [b]) => (a < b ? -1 : 1))));
}

/**
 * What the person had written at a place that holds `image`, a copy: the first entry for it in `records`, if that is an image whose
 * copy is this very one. Anybody may write the annotation, so an entry of another image counts for nothing.
 */
export function findOriginal(
  { id, position }: Pick<ImagePlace, 'id' | 'position'>,
  image: Reference,
  records: readonly ReadonlyMap<string, string>[],
  backup: BackupLocation,
): string | undefined {
  const recorded = records
    .flatMap((record) => [record.get(id), record.get(position)])
    .find((text) => text !== undefined);
  if (recorded === undefined) return undefined;
  const original = tryParse(recorded);
  if (original instanceof CloneError) return undefined;
  return isSameTag(backupReference(original, backup), image) ? recorded : undefined;
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
