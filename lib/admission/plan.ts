import { CloneError } from '../errors.ts';
import type { PullSecretRefs } from '../ports/index.ts';
import {
  decideImage,
  type ImageDecision,
  type Refusal,
  type RequiredImage,
  type Rewrite,
  toDecisionContext,
} from './decide-image.ts';
import { isCloneOnly, isExempt } from './exemption.ts';
import type { ReviewPolicy } from './policy.ts';
import { parseReview, type ReviewRequest } from './review.ts';
import { isUntouched } from './untouched.ts';
import {
  type ImagePlace,
  isEphemeral,
  isWorkload,
  parseWorkload,
  type Workload,
} from './workload.ts';

/** One image that must be in the backup, and every place of the object that names it. */
export interface PlannedImage extends Omit<RequiredImage, 'place'> {
  readonly places: readonly ImagePlace[];
}

/** Names to append to the pod's `imagePullSecrets`. */
interface PlannedPullSecrets {
  /** If the patch writes an image that was copied now. */
  readonly whenCopied: readonly string[];
  /** If the patch writes only what the stored object already has. */
  readonly whenReused: readonly string[];
}

/** Everything that is known about a review before the first registry call. */
export interface ReviewPlan {
  readonly request: Omit<ReviewRequest, 'object' | 'oldObject'>;
  readonly images: readonly PlannedImage[];
  readonly refusals: readonly Refusal[];
  readonly reused: readonly Rewrite[];
  /** Originals of places that already name the backup, by place id. */
  readonly recordedOriginals: ReadonlyMap<string, string>;
  readonly warnings: readonly string[];
  /** The controller of the object would revert a patch: images are copied, and the object is not patched. */
  readonly isCloneOnly: boolean;
  /** The API server discards every patch except those of images. */
  readonly imagesOnly: boolean;
  readonly workload?: Workload;
  readonly pullSecrets: PlannedPullSecrets;
  /** The pull secrets that may open the sources. */
  readonly pod?: PullSecretRefs;
  readonly onError: 'deny' | 'admit';
  readonly onDeadline: 'retry' | 'admit';
  readonly overriddenBy?: ReviewPolicy['overriddenBy'];
}

const maxImages = 200;
/** Plans stay in memory while registries do not answer, and a body of 64 KiB can name thousands of places. */
const maxPlaces = 400;
const maxPullSecrets = 100;
const maxNameLength = 253;

const noPullSecrets: PlannedPullSecrets = { whenCopied: [], whenReused: [] };

/**
 * Finds the images to copy and the places to patch. Pure: no registry, clock or environment.
 * Throws `CloneError` `INVALID_REVIEW` for a body that no API server sends.
 */
export function planReview(body: unknown, policy: ReviewPolicy): ReviewPlan {
  return planRequest(parseReview(body), policy);
}

/** As `planReview`, but an object whose images are all in the backup is not read further: its answer needs nothing of it. */
export function planAnswer(body: unknown, policy: ReviewPolicy): ReviewPlan {
  const request = parseReview(body);
  return isWorkload(request) && isUntouched(request, policy.backup)
    ? toUntouched(request, policy)
    : planRequest(request, policy);
}

function planRequest(request: ReviewRequest, policy: ReviewPolicy): ReviewPlan {
  const untouched = toUntouched(request, policy);
  const isWrite = request.operation === 'CREATE' || request.operation === 'UPDATE';
  if (!isWrite || !isWorkload(request) || policy.excludedNamespaces.includes(request.namespace)) {
    return untouched;
  }
  const workload = parseWorkload(request, 'object');
  if (isExempt(workload, request, policy)) return untouched;

  const old = request.operation === 'UPDATE' ? parseWorkload(request, 'oldObject') : undefined;
  const cloneOnly = isCloneOnly(workload, request, policy);
  const context = toDecisionContext(workload, old, cloneOnly, policy);
  const decisions = workload.places.map((place) => decideImage(place, context));
  const grouped = groupImages(decisions.flatMap(({ required }) => required ?? []));
  const tooMany = refuseTooMany(grouped, workload.places.length);
  const images = tooMany.length > 0 ? [] : grouped;
  return {
    ...untouched,
    workload,
    isCloneOnly: cloneOnly,
    images,
    reused: decisions.flatMap(({ reused }) => reused ?? []),
    refusals: [...decisions.flatMap(({ refusal }) => refusal ?? []), ...tooMany],
    recordedOriginals: new Map(
      decisions.flatMap(({ recorded }) => (recorded === undefined ? [] : [recorded])),
    ),
    warnings: [
      ...decisions.flatMap(({ warning }) => warning ?? []),
      ...(cloneOnly && images.length > 0 ? [cloneOnlyWarning(workload)] : []),
      // An update of ephemeral containers cannot rewrite the other images of the pod.
      ...(untouched.imagesOnly ? [] : unchangedWarning(decisions)),
    ],
    pullSecrets: planPullSecrets(workload, old, policy),
    pod: toPullSecretRefs(request, workload),
  };
}

/** Whether the object is denied whatever its other images are, so that nothing is copied for it. */
export function isCertainlyDenied({ refusals, isCloneOnly, onError }: ReviewPlan): boolean {
  return refusals.some(
    ({ error }) => error.code === 'REGISTRY_NOT_ALLOWED' || (onError === 'deny' && !isCloneOnly),
  );
}

function toUntouched(request: ReviewRequest, policy: ReviewPolicy): ReviewPlan {
  const { object: _object, oldObject: _oldObject, ...head } = request;
  return {
    request: head,
    images: [],
    refusals: [],
    reused: [],
    recordedOriginals: new Map(),
    warnings: [],
    isCloneOnly: false,
    imagesOnly: isEphemeral(request),
    pullSecrets: noPullSecrets,
    onError: policy.onError,
    onDeadline: policy.onDeadline,
    ...(policy.overriddenBy !== undefined && { overriddenBy: policy.overriddenBy }),
  };
}

/** `BACKUP_PULL_SECRET`, unless the pod names it already. The cluster is not read. */
function planPullSecrets(
  workload: Workload,
  old: Workload | undefined,
  { backupPullSecret: name }: ReviewPolicy,
): PlannedPullSecrets {
  if (name === undefined || workload.pullSecrets?.includes(name) === true) return noPullSecrets;
  const wasAppended = old?.pullSecrets?.includes(name) === true;
  // If the manifest names none, an earlier patch appended all that are stored, those of the ServiceAccount included.
  const appended = workload.pullSecrets === undefined ? old?.pullSecrets : [name];
  return { whenCopied: [name], whenReused: wasAppended ? (appended ?? []) : [] };
}

/** Queued copies keep these names, and the API server validates their number and length only after admission. */
function toPullSecretRefs(
  { namespace }: ReviewRequest,
  { pullSecrets = [], serviceAccount }: Workload,
): PullSecretRefs {
  return {
    namespace,
    names: pullSecrets.filter(isShortName).slice(0, maxPullSecrets),
    ...(serviceAccount !== '' && isShortName(serviceAccount) && { serviceAccount }),
  };
}

function isShortName(text: string): boolean {
  return text.length <= maxNameLength;
}

function groupImages(required: readonly RequiredImage[]): readonly PlannedImage[] {
  const groups = Map.groupBy(required, ({ key }) => key);
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const { place: _, ...image } = first;
    return [{ ...image, places: group.map(({ place }) => place) }];
  });
}

/** Each image costs several registry calls, so one object must not delay all other reviews. */
function refuseTooMany(images: readonly PlannedImage[], placeCount: number): readonly Refusal[] {
  const place = images[0]?.places[0];
  if (place === undefined || (images.length <= maxImages && placeCount <= maxPlaces)) return [];
  const message =
    images.length > maxImages
      ? `the object names ${images.length} different images, and at most ${maxImages} are copied for one object: split it`
      : `the object names images in ${placeCount} places, and at most ${maxPlaces} are patched in one object: split it`;
  return [{ place, error: new CloneError('TOO_MANY_IMAGES', message) }];
}

function cloneOnlyWarning({ controller }: Workload): string {
  return `images are copied, but this object is left as it is: ${controller?.kind ?? 'its owner'} controls it`;
}

function unchangedWarning(decisions: readonly ImageDecision[]): readonly string[] {
  const [first, ...rest] = decisions.flatMap(({ unchanged }) => unchanged ?? []);
  if (first === undefined) return [];
  return rest.length === 0
    ? [`${first.label}: its image is unchanged and not in the backup; "just backfill" copies it`]
    : [
        `${first.label} and ${rest.length} more: their images are unchanged and not in the backup; "just backfill" copies them`,
      ];
}
