import { CloneError } from '../errors.ts';
import { backupReference, isBackup } from '../image/backup-name.ts';
import { canonicalReference, formatReference, type Reference } from '../image/reference.ts';
import {
  type EditedCopy,
  type FormerCopy,
  findEdit,
  findForbidden,
  findFormer,
} from './named-copy.ts';
import {
  findOriginal,
  isSameTag,
  originalImagesAnnotation,
  parseOriginalImages,
  tryParse,
} from './original-images.ts';
import type { ReviewPolicy } from './policy.ts';
import type { ImagePlace, Workload } from './workload.ts';

/** When its value changes, every image of the object is copied and rewritten, see `just backfill`. */
export const backfillAnnotation = 'image-cloner/backfill';

/** An image that must be in the backup before the object is admitted, at one place. */
export interface RequiredImage {
  /** The same for every spelling of one image; the key of its outcome. */
  readonly key: string;
  readonly source: Reference;
  readonly backup: Reference;
  readonly place: ImagePlace;
  /** The place names a copy, and `source` is its original, see `findEdit` and `findFormer`. */
  readonly copy?: EditedCopy | FormerCopy;
}

/** An image that the policy refuses without a registry call. */
export interface Refusal {
  readonly place: ImagePlace;
  readonly error: CloneError;
}

/** An image that the patch writes, and the original for the annotation. */
export interface Rewrite {
  readonly place: ImagePlace;
  readonly image: string;
  readonly original: string;
}

/** The decision about one place; at most one of the first four fields is present. */
export interface ImageDecision {
  readonly required?: RequiredImage;
  /** The same manifest applied again: the place keeps the copy that the stored object names. */
  readonly reused?: Rewrite;
  readonly refusal?: Refusal;
  /** The place already names the backup: its id, and its original for the annotation. */
  readonly recorded?: readonly [id: string, original: string];
  readonly warning?: string;
  /** An unchanged image that is not in the backup. */
  readonly unchanged?: ImagePlace;
}

/** Computed once per object, which may have thousands of places. */
export interface DecisionContext {
  /** Places of the old object by id, and by position. */
  readonly oldPlaces: ReadonlyMap<string, ImagePlace>;
  readonly originals: ReadonlyMap<string, string>;
  readonly oldOriginals: ReadonlyMap<string, string>;
  readonly isBackfill: boolean;
  readonly isCloneOnly: boolean;
  readonly isInjected: boolean;
  readonly policy: ReviewPolicy;
}

export function toDecisionContext(
  workload: Workload,
  old: Workload | undefined,
  isCloneOnly: boolean,
  policy: ReviewPolicy,
): DecisionContext {
  const { annotations } = workload;
  const oldPlaces = old?.places ?? [];
  const backfill = annotations.get(backfillAnnotation);
  return {
    oldPlaces: new Map([
      ...oldPlaces.map((place) => [place.position, place] as const),
      ...oldPlaces.map((place) => [place.id, place] as const),
    ]),
    originals: parseOriginalImages(annotations.get(originalImagesAnnotation)),
    oldOriginals: parseOriginalImages(old?.annotations.get(originalImagesAnnotation)),
    // `kubectl replace` removes the annotation, which is no request to backfill.
    isBackfill: backfill !== undefined && backfill !== old?.annotations.get(backfillAnnotation),
    isCloneOnly,
    isInjected: workload.isInjected,
    policy,
  };
}

/** Decides what happens to the image at one place. Pure. */
export function decideImage(place: ImagePlace, context: DecisionContext): ImageDecision {
  const { policy } = context;
  const old = context.oldPlaces.get(place.id);
  // With `imagePullPolicy: Never` the image was not reviewed, so it counts as new when the policy changes.
  const isPulledNow = old?.neverPulled === true && !place.neverPulled;
  const isUnchanged = old?.image === place.image && !isPulledNow && !context.isBackfill;

  if (place.neverPulled) {
    return isUnchanged ? {} : { warning: `${place.label}: ignored: imagePullPolicy is Never` };
  }
  if (isPlaceholder(place.image, context.isInjected)) {
    const warning = `${place.label}: ignored: image ${JSON.stringify(place.image)} is a placeholder`;
    return isUnchanged ? {} : { warning };
  }
  const reference = tryParse(place.image);
  if (reference instanceof CloneError) {
    return isUnchanged ? {} : { refusal: { place, error: reference } };
  }
  if (isBackup(reference, policy.backup)) {
    // Keeps the annotation's entry, unless it is the entry of another image.
    const records = [context.originals, context.oldOriginals];
    const recorded = findOriginal(place, reference, records, policy.backup);
    if (recorded !== undefined) return { recorded: [place.id, recorded] };
    const edited =
      isUnchanged || context.isCloneOnly
        ? undefined
        : findEdit(reference, old, context.oldOriginals, policy);
    if (edited === undefined) return {};
    return { required: toRequired(place, edited.original, policy, edited) };
  }
  const records = [context.originals, context.oldOriginals];
  const former = findFormer(place, reference, records, policy);
  return former === undefined
    ? decideSource(place, reference, isUnchanged, context)
    : decideSource(place, former.original, isUnchanged, context, former);
}

/** Decides about an image that is not in the backup. */
function decideSource(
  place: ImagePlace,
  reference: Reference,
  isUnchanged: boolean,
  context: DecisionContext,
  former?: FormerCopy,
): ImageDecision {
  const { policy } = context;
  const old = context.oldPlaces.get(place.id);
  const backup = backupReference(reference, policy.backup);
  if (!context.isCloneOnly && old !== undefined && !context.isBackfill) {
    const original =
      context.oldOriginals.get(place.id) ??
      // The entry has the position if the container had no name then.
      findOriginal(place, backup, [context.oldOriginals], policy.backup);
    if (isSameWrite(reference, backup, old.image, original)) {
      const text = former === undefined ? place.image : formatReference(reference);
      return { reused: { place, image: old.image, original: original ?? text } };
    }
  }
  const ignoredBy = policy.ignoreImages.find((pattern) => pattern.matches(reference));
  if (ignoredBy !== undefined) {
    return isUnchanged
      ? {}
      : { warning: `${place.label}: ignored: IGNORE_IMAGES has ${ignoredBy.text}` };
  }
  if (isUnchanged) return { unchanged: place };

  const error = findForbidden(place.image, reference, policy);
  if (error !== undefined) return { refusal: { place, error } };
  return { required: toRequired(place, reference, policy, former) };
}

/** An edited name and its original are different questions, so they have different keys. */
function toRequired(
  place: ImagePlace,
  source: Reference,
  policy: ReviewPolicy,
  copy?: EditedCopy | FormerCopy,
): RequiredImage {
  const key = [copy?.kind ?? [], canonicalReference(source)].flat().join(' ');
  const backup = backupReference(source, policy.backup);
  return { key, source, backup, place, ...(copy !== undefined && { copy }) };
}

/** Another component sets the image later: Kubernetes accepts a space in pod templates for it, and Istio replaces `auto`. */
function isPlaceholder(image: string, isInjected: boolean): boolean {
  return image === ' ' || (isInjected && image === 'auto');
}

/**
 * Whether the stored object already names the copy of the image that is written now. `kubectl apply`, helm, Argo CD and
 * Flux send the original every time, and pods must not restart because of it.
 */
function isSameWrite(
  source: Reference,
  backup: Reference,
  oldImage: string,
  original: string | undefined,
): boolean {
  const stored = tryParse(oldImage);
  if (stored instanceof CloneError || !isSameTag(backup, stored)) return false;
  if (original === undefined) return source.digest === undefined;
  const recorded = tryParse(original);
  return !(recorded instanceof CloneError) && recorded.digest === source.digest;
}
