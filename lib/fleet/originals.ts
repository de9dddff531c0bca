import {
  findOriginal,
  originalImagesAnnotation,
  parseOriginalImages,
  tryParse,
} from '../admission/original-images.ts';
import type { ImagePlace, Workload } from '../admission/workload.ts';
import { CloneError } from '../errors.ts';
import { type BackupLocation, isBackup } from '../image/backup-name.ts';
import type { Reference } from '../image/reference.ts';
import type { StoredWorkload } from '../ports/index.ts';
import { parseStoredObject, replaceAt } from './stored-workload.ts';

/** A place that names a backup, and the original image if the annotation records one that belongs to that backup. */
export interface BackupPlace {
  readonly place: ImagePlace;
  readonly original: string | undefined;
}

/** Returns every place of an object that names a backup. */
export function findBackupPlaces(
  workload: Workload,
  backup: BackupLocation,
): readonly BackupPlace[] {
  const records = [parseOriginalImages(workload.annotations.get(originalImagesAnnotation))];
  return workload.places.flatMap((place) => {
    const image = parseBackup(place.image, backup);
    if (image === undefined) return [];
    return [{ place, original: findOriginal(place, image, records, backup) }];
  });
}

/** Parses an image name; `undefined` if it is invalid or does not name a backup. */
export function parseBackup(image: string, backup: BackupLocation): Reference | undefined {
  const reference = tryParse(image);
  return reference instanceof CloneError || !isBackup(reference, backup) ? undefined : reference;
}

/** Returns the workload with its original images, as far as they are known. */
export function withOriginals(stored: StoredWorkload, backup: BackupLocation): StoredWorkload {
  const places = findBackupPlaces(parseStoredObject(stored), backup);
  const object = places.reduce(
    (whole, { place, original }) =>
      original === undefined ? whole : replaceAt(whole, place.pointer, original),
    stored.object,
  );
  return { ...stored, object };
}
