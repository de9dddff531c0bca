import {
  findOriginal,
  originalImagesAnnotation,
  parseOriginalImages,
  tryParse,
} from '../admission/original-images.ts';
import { parseReview } from '../admission/review.ts';
import { type ImagePlace, parseWorkload, type Workload } from '../admission/workload.ts';
import { CloneError } from '../errors.ts';
import { type BackupLocation, isBackup } from '../image/backup-name.ts';
import type { StoredWorkload } from '../ports/index.ts';
import { replaceAt, toUpdateReview } from './stored-workload.ts';

/** One place that holds a copy, and what the person had written there, where that is known. */
export interface HeldPlace {
  readonly place: ImagePlace;
  readonly original: string | undefined;
}

/** Reads the parts of a stored workload that we know. Throws `CloneError` `INVALID_REVIEW` where it cannot be read. */
export function readWorkload(stored: StoredWorkload): Workload {
  return parseWorkload(parseReview(toUpdateReview(stored, stored.object, 'read')), 'object');
}

/** Every place of an object that holds a copy. */
export function findHeldPlaces(workload: Workload, backup: BackupLocation): readonly HeldPlace[] {
  const records = [parseOriginalImages(workload.annotations.get(originalImagesAnnotation))];
  return workload.places.flatMap((place) => {
    const held = tryParse(place.image);
    if (held instanceof CloneError || !isBackup(held, backup)) return [];
    return [{ place, original: findOriginal(place, held, records, backup) }];
  });
}

/** The object as the person had written it, as far as that is known: for asking what would be copied now. */
export function withOriginals(stored: StoredWorkload, backup: BackupLocation): StoredWorkload {
  const held = findHeldPlaces(readWorkload(stored), backup);
  const object = held.reduce(
    (whole, { place, original }) =>
      original === undefined ? whole : replaceAt(whole, place.pointer, original),
    stored.object,
  );
  return { ...stored, object };
}
