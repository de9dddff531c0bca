import {
  originalImagesAnnotation,
  parseOriginalImages,
  tryParse,
} from '../../admission/original-images.ts';
import type { ImagePlace, Workload } from '../../admission/workload.ts';
import { CloneError } from '../../errors.ts';
import { type BackupLocation, isBackup } from '../../image/backup-name.ts';
import { locateCopy } from '../../image/copy-name.ts';
import { canonicalRepository, type Reference } from '../../image/reference.ts';

/** A place that holds a copy, with the original image, or why that is unknown. */
export type CopyPlace = { readonly place: ImagePlace } & (
  | { readonly original: string }
  | { readonly original?: never; readonly problem: string }
);

interface ReadPlace {
  readonly place: ImagePlace;
  readonly image: Reference;
  /** What the annotation records for the place. */
  readonly recorded: string | undefined;
  readonly location: BackupLocation | undefined;
  /** Whether the place holds the recorded image, or another tag of it. */
  readonly isOriginal: boolean;
}

/**
 * Returns every place of an object that holds a copy, by the annotation and the names alone: it needs no configuration. Any client can
 * write the annotation, so an entry counts only if the image is named as a copy of what it records.
 */
export function findCopyPlaces(workload: Workload): readonly CopyPlace[] {
  const text = workload.annotations.get(originalImagesAnnotation);
  if (text === undefined) return [];
  const records = parseOriginalImages(text);
  const places = workload.places.flatMap((place) => readPlace(place, records));
  const backups = places.flatMap(({ location }) => location ?? []);
  return places.flatMap(({ place, image, recorded, location, isOriginal }): CopyPlace[] => {
    if (location !== undefined && recorded !== undefined) return [{ place, original: recorded }];
    if (isOriginal) return [];
    if (recorded !== undefined) {
      return [{ place, problem: `it is not named as a copy of ${recorded}, which is recorded` }];
    }
    const isBesideCopy = backups.some((backup) => isBackup(image, backup));
    // An annotation that cannot be parsed is a record that was damaged.
    return isBesideCopy || records.size === 0
      ? [{ place, problem: 'its original image is not recorded' }]
      : [];
  });
}

function readPlace(place: ImagePlace, records: ReadonlyMap<string, string>): readonly ReadPlace[] {
  const image = tryParse(place.image);
  if (image instanceof CloneError) return [];
  const recorded = records.get(place.id) ?? records.get(place.position);
  const original = recorded === undefined ? undefined : tryParse(recorded);
  if (original === undefined || original instanceof CloneError) {
    return [{ place, image, recorded, location: undefined, isOriginal: false }];
  }
  const location = locateCopy(image, original);
  const isOriginal = canonicalRepository(image) === canonicalRepository(original);
  return [{ place, image, recorded, location, isOriginal }];
}
