import { CloneError } from '../errors.ts';
import { backupReference, isBackup } from '../image/backup-name.ts';
import { canonicalReference, formatReference, type Reference } from '../image/reference.ts';
import {
  findOriginal,
  isSameTag,
  originalImagesAnnotation,
  parseOriginalImages,
  tryParse,
} from './original-images.ts';
import type { ReviewPolicy } from './policy.ts';
import type { ImagePlace, Workload } from './workload.ts';

/** Changing it asks for every image to be looked at again, see `just backfill`. */
export const backfillAnnotation = 'image-cloner/backfill';

/** One image to be cloned, as one place names it. */
export interface CloneWish {
  /** One spelling for one image. */
  readonly key: string;
  readonly source: Reference;
  readonly backup: Reference;
  readonly place: ImagePlace;
}

/** An image that is refused without asking anybody. */
export interface Refusal {
  readonly place: ImagePlace;
  readonly error: CloneError;
}

/** The same write again: the place gets what the stored object already has there. */
export interface CarriedImage {
  readonly place: ImagePlace;
  readonly image: string;
  readonly original: string;
}

/** What is to happen at one place; at most one of the first four. */
export interface PlaceVerdict {
  readonly clone?: CloneWish;
  readonly carried?: CarriedImage;
  readonly refusal?: Refusal;
  readonly kept?: readonly [readonly [string, string]];
  readonly warning?: string;
  readonly outside?: ImagePlace;
}

/** What places are judged by, looked up once for an object that may have thousands of them. */
export interface JudgeContext {
  readonly before: ReadonlyMap<string, ImagePlace>;
  readonly originals: ReadonlyMap<string, string>;
  readonly oldOriginals: ReadonlyMap<string, string>;
  readonly isBackfill: boolean;
  readonly rewrites: boolean;
  readonly policy: ReviewPolicy;
}

/** Looks up once what all places of an object are judged by. */
export function toJudgeContext(
  workload: Workload,
  old: Workload | undefined,
  rewrites: boolean,
  policy: ReviewPolicy,
): JudgeContext {
  const [now, then] = [workload.annotations, old?.annotations];
  const oldPlaces = old?.places ?? [];
  const backfill = now.get(backfillAnnotation);
  return {
    before: new Map([
      ...oldPlaces.map((place) => [place.position, place] as const),
      ...oldPlaces.map((place) => [place.id, place] as const),
    ]),
    originals: parseOriginalImages(now.get(originalImagesAnnotation)),
    oldOriginals: parseOriginalImages(then?.get(originalImagesAnnotation)),
    // `kubectl replace` drops the annotation, which asks for nothing.
    isBackfill: backfill !== undefined && backfill !== then?.get(backfillAnnotation),
    rewrites,
    policy,
  };
}

/** Decides what becomes of one place, without asking anybody. */
export function judge(place: ImagePlace, context: JudgeContext): PlaceVerdict {
  const { policy } = context;
  const before = context.before.get(place.id);
  // What was never to be pulled was never looked at, so it counts as new once it is to be.
  const isPulledNow = before?.neverPulled === true && !place.neverPulled;
  const isUnchanged = before?.image === place.image && !isPulledNow && !context.isBackfill;

  if (place.neverPulled) {
    return isUnchanged
      ? {}
      : { warning: `${place.label}: imagePullPolicy Never, so its image is left alone` };
  }
  const reference = tryParse(place.image);
  if (reference instanceof CloneError) {
    return isUnchanged ? {} : { refusal: { place, error: reference } };
  }
  if (isBackup(reference, policy.backup)) return keep(place, reference, context);

  const backup = backupReference(reference, policy.backup);
  if (context.rewrites && before !== undefined && !context.isBackfill) {
    const original = context.oldOriginals.get(place.id);
    if (isSameWrite(reference, backup, before.image, original)) {
      return { carried: { place, image: before.image, original: original ?? place.image } };
    }
  }
  const ignoredBy = policy.ignoreImages.find((pattern) => pattern.matches(reference));
  if (ignoredBy !== undefined) {
    return isUnchanged
      ? {}
      : { warning: `${place.label}: left alone, IGNORE_IMAGES has ${ignoredBy.text}` };
  }
  if (isUnchanged) return { outside: place };

  const { sourceRegistries } = policy;
  if (sourceRegistries.length > 0 && !sourceRegistries.includes(reference.domain)) {
    const message = `${formatReference(reference)} may not be used: SOURCE_REGISTRIES does not list ${reference.domain}`;
    return { refusal: { place, error: new CloneError('REGISTRY_NOT_ALLOWED', message) } };
  }
  return { clone: { key: canonicalReference(reference), source: reference, backup, place } };
}

/** A place that already names the backup keeps its entry in the annotation, unless that entry is of another image. */
function keep(
  place: ImagePlace,
  image: Reference,
  { originals, oldOriginals, policy }: JudgeContext,
): PlaceVerdict {
  const recorded = findOriginal(place, image, [originals, oldOriginals], policy.backup);
  return recorded === undefined ? {} : { kept: [[place.id, recorded]] };
}

/**
 * Whether the stored object holds, at that place, the copy of the very image that is written now. `kubectl apply`, helm, Argo and Flux
 * send the original every time; nothing may roll because of that.
 */
function isSameWrite(
  source: Reference,
  backup: Reference,
  before: string,
  original: string | undefined,
): boolean {
  const stored = tryParse(before);
  if (stored instanceof CloneError || !isSameTag(backup, stored)) return false;
  if (original === undefined) return source.digest === undefined;
  const recorded = tryParse(original);
  return !(recorded instanceof CloneError) && recorded.digest === source.digest;
}
