import { CloneError } from '../errors.ts';
import type { Reference } from '../image/reference.ts';
import type { PullSecretRefs } from '../ports/index.ts';
import {
  type CarriedImage,
  type CloneWish,
  judge,
  type Refusal,
  toJudgeContext,
} from './decide-image.ts';
import { isCloneOnly, isClusterController, isExempt } from './exemption.ts';
import type { ReviewPolicy } from './policy.ts';
import { noPullSecrets, type PlannedPullSecrets, planPullSecrets } from './pull-secrets.ts';
import { parseReview, type ReviewRequest } from './review.ts';
import {
  type ImagePlace,
  isEphemeral,
  isWorkload,
  parseWorkload,
  type Workload,
} from './workload.ts';

/** One image to be cloned, wherever the object names it. */
export interface PlannedImage {
  /** One spelling for one image; outcomes are looked up by it. */
  readonly key: string;
  readonly source: Reference;
  readonly backup: Reference;
  readonly places: readonly ImagePlace[];
}

/** All that is known of a review before any registry is asked. */
export interface ReviewPlan {
  readonly request: Omit<ReviewRequest, 'object' | 'oldObject'>;
  readonly images: readonly PlannedImage[];
  readonly refusals: readonly Refusal[];
  readonly carried: readonly CarriedImage[];
  /** Originals of places that stay as they are. */
  readonly keptOriginals: ReadonlyMap<string, string>;
  readonly warnings: readonly string[];
  /** `false`: a controller owns the object and would fight us, so its images are copied and it is left as it is. */
  readonly rewrites: boolean;
  /** The caller is one of the cluster's own controllers, which must not be kept waiting. */
  readonly isImpatient: boolean;
  /** Only image patches survive. */
  readonly imagesOnly: boolean;
  readonly workload?: Workload;
  /** To be appended to the pod's `imagePullSecrets`. */
  readonly pullSecrets: PlannedPullSecrets;
  /** Whose pull secrets may open the sources. */
  readonly pod?: PullSecretRefs;
  readonly onError: 'deny' | 'admit';
  readonly onDeadline: 'retry' | 'admit';
  readonly ruledBy?: ReviewPolicy['ruledBy'];
}

const maxImages = 200;
/** What is to be rewritten is kept while registries are silent, and a body of 64 KiB has room for thousands. */
const maxPlaces = 400;
/** More than are ever read. */
const maxPullSecrets = 100;
const maxNameLength = 253;

/**
 * Review + policy → what to clone and what to patch. Pure: no registry, clock or environment.
 * Throws `CloneError` `INVALID_REVIEW` for a body that no API server sends.
 */
export function planReview(body: unknown, policy: ReviewPolicy): ReviewPlan {
  const request = parseReview(body);
  const untouched = toUntouched(request, policy);
  const isWrite = request.operation === 'CREATE' || request.operation === 'UPDATE';
  if (!isWrite || !isWorkload(request) || policy.excludedNamespaces.includes(request.namespace)) {
    return untouched;
  }
  const workload = parseWorkload(request, 'object');
  if (isExempt(workload, request, policy)) return untouched;

  const old = request.operation === 'UPDATE' ? parseWorkload(request, 'oldObject') : undefined;
  const rewrites = !isCloneOnly(workload, request, policy);
  const context = toJudgeContext(workload, old, rewrites, policy);
  const verdicts = workload.places.map((place) => judge(place, context));
  const wishes = verdicts.flatMap((verdict) => verdict.clone ?? []);
  const grouped = groupImages(wishes);
  const tooMany = refuseTooMany(grouped, workload.places.length);
  const images = tooMany.length > 0 ? [] : grouped;
  return {
    ...untouched,
    workload,
    rewrites,
    images,
    carried: verdicts.flatMap((verdict) => verdict.carried ?? []),
    refusals: [...verdicts.flatMap((verdict) => verdict.refusal ?? []), ...tooMany],
    keptOriginals: new Map(verdicts.flatMap((verdict) => verdict.kept ?? [])),
    warnings: [
      ...verdicts.flatMap((verdict) => verdict.warning ?? []),
      ...(rewrites || images.length === 0 ? [] : [cloneOnlyWarning(workload)]),
      // There nothing but the new ephemeral container can be rewritten.
      ...(untouched.imagesOnly ? [] : leftBehind(verdicts.flatMap(({ outside }) => outside ?? []))),
    ],
    pullSecrets: planPullSecrets(workload, old, policy),
    pod: toPullSecretRefs(request, workload),
  };
}

function toUntouched(request: ReviewRequest, policy: ReviewPolicy): ReviewPlan {
  const { object: _object, oldObject: _oldObject, ...head } = request;
  return {
    request: head,
    images: [],
    refusals: [],
    carried: [],
    keptOriginals: new Map(),
    warnings: [],
    rewrites: true,
    isImpatient: isClusterController(request.username),
    imagesOnly: isEphemeral(request),
    pullSecrets: noPullSecrets,
    onError: policy.onError,
    onDeadline: policy.onDeadline,
    ...(policy.ruledBy !== undefined && { ruledBy: policy.ruledBy }),
  };
}

/** A copy that waits for its turn keeps them, and lists and names may be megabytes long: objects are validated after us. */
function toPullSecretRefs(
  { namespace }: ReviewRequest,
  { pullSecrets = [], serviceAccount = '' }: Workload,
): PullSecretRefs {
  return {
    namespace,
    names: pullSecrets.filter(isName).slice(0, maxPullSecrets),
    ...(serviceAccount !== '' && isName(serviceAccount) && { serviceAccount }),
  };
}

function isName(text: string): boolean {
  return text.length <= maxNameLength;
}

function groupImages(clones: readonly CloneWish[]): readonly PlannedImage[] {
  const groups = Map.groupBy(clones, ({ key }) => key);
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const { key, source, backup } = first;
    return [{ key, source, backup, places: group.map(({ place }) => place) }];
  });
}

/** Each image is a few questions to registries: what nobody deploys must not keep us from all others. */
function refuseTooMany(images: readonly PlannedImage[], placeCount: number): readonly Refusal[] {
  const place = images[0]?.places[0];
  if (place === undefined || (images.length <= maxImages && placeCount <= maxPlaces)) return [];
  const message =
    images.length > maxImages
      ? `with it the object names ${images.length} different images, and ${maxImages} are copied for one object at most`
      : `with it the object names images in ${placeCount} places, and they are copied for ${maxPlaces} at most`;
  return [{ place, error: new CloneError('TOO_MANY_IMAGES', message) }];
}

function cloneOnlyWarning({ controller }: Workload): string {
  return `images are copied, but this object is left as it is: ${controller?.kind ?? 'its owner'} controls it`;
}

function leftBehind(places: readonly ImagePlace[]): readonly string[] {
  const [first, ...rest] = places;
  if (first === undefined) return [];
  const more = rest.length === 0 ? '' : ` and ${rest.length} more`;
  return [`${first.label}${more}: unchanged and outside the backup, "just backfill" moves it`];
}
