import {
  findOriginal,
  originalImagesAnnotation,
  parseOriginalImages,
  tryParse,
} from '../admission/original-images.ts';
import { CloneError } from '../errors.ts';
import { type BackupLocation, isBackup } from '../image/backup-name.ts';
import type { Reference } from '../image/reference.ts';
import type { StoredWorkload } from '../ports/index.ts';
import { parseStoredObject, replaceAt } from './stored-workload.ts';

/** Parses an image name; `undefined` if it is invalid or does not name a backup. */
export function parseBackup(image: string, backup: BackupLocation): Reference | undefined {
  const reference = tryParse(image);
  return reference instanceof CloneError || !isBackup(reference, backup) ? undefined : reference;
}

/** Returns the workload with its original images, as far as the annotation records those of this backup. */
export function withOriginals(stored: StoredWorkload, backup: BackupLocation): StoredWorkload {
  const { annotations, places } = parseStoredObject(stored);
  const records = [parseOriginalImages(annotations.get(originalImagesAnnotation))];
  const object = places.reduce((whole, place) => {
    const image = parseBackup(place.image, backup);
    const original = image && findOriginal(place, image, records, backup);
    return original === undefined ? whole : replaceAt(whole, place.pointer, original);
  }, stored.object);
  return { ...stored, object };
}
