import { CloneError } from '../errors.ts';
import { type BackupLocation, backupReference, isBackup } from '../image/backup.ts';
import type { ImagePattern } from '../image/pattern.ts';
import {
  canonicalReference,
  formatReference,
  parseReference,
  type Reference,
} from '../image/reference.ts';
import type { PullSecretRefs } from '../ports.ts';
import { originalImagesAnnotation, parseOriginalImages } from './original-images.ts';
import { noPullSecrets, type PlannedPullSecrets, planPullSecrets } from './pull-secrets.ts';
import { parseReview, type ReviewRequest } from './review.ts';
import {
  type ImagePlace,
  isEphemeral,
  isWorkload,
  parseWorkload,
  type Workload,
} from './workload.ts';

/** What the administrator decided, as far as it concerns a review. */
export interface ReviewPolicy {
  readonly backup: BackupLocation;
  readonly onError: 'deny' | 'admit';
  readonly onDeadline: 'retry' | 'admit';
  readonly ignoreImages: readonly ImagePattern[];
  /** Empty: every registry. */
  readonly sourceRegistries: readonly string[];
  /** `group/Kind`, or `*`. */
  readonly cloneOnlyOwners: readonly string[];
  readonly backupPullSecret?: string;
  /** Never looked into: what is needed for us, or for the backup registry, to start. */
  readonly excludedNamespaces: readonly string[];
  /** The Knative Service that we are. */
  readonly ownService?: { readonly namespace: string; readonly name: string };
}

/** One image to be cloned, wherever the object names it. */
export interface PlannedImage {
  /** One spelling for one image; outcomes are looked up by it. */
  readonly key: string;
  readonly source: Reference;
  readonly backup: Reference;
  readonly places: readonly ImagePlace[];
}

/** An image that is refused without asking anybody. */
interface Refusal {
  readonly place: ImagePlace;
  readonly error: CloneError;
}

/** The same write again: the place gets what the stored object already has there. */
interface CarriedImage {
  readonly place: ImagePlace;
  readonly image: string;
  readonly original: string;
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
}

/** Changing it asks for every image to be looked at again, see `just backfill`. */
export const backfillAnnotation = 'image-cloner/backfill';
const mirrorPodAnnotation = 'kubernetes.io/config.mirror';
const optOutLabel = 'image-cloner';
const knativeServiceLabel = 'serving.knative.dev/service';

/** Controllers that create Pods or Jobs and do not compare their images afterwards. */
const indifferentControllers = new Set([
  'apps/ReplicaSet',
  '/ReplicationController',
  'apps/DaemonSet',
  'apps/StatefulSet',
  'batch/Job',
  'batch/CronJob',
]);

/**
 * Owned object ← owner that puts its own image back for ever, whatever `CLONE_ONLY_OWNERS` says: a rewritten ReplicaSet
 * under an unrewritten Deployment makes new ReplicaSets without end.
 */
const knownFighters = new Set([
  'ReplicaSet ← apps/Deployment',
  'Deployment ← serving.knative.dev/Revision',
  'Configuration ← serving.knative.dev/Service',
]);

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
  const context = toContext(workload, old, rewrites, policy);
  const verdicts = workload.places.map((place) => judge(place, context));
  const images = groupImages(verdicts.flatMap((verdict) => verdict.clone ?? []));
  return {
    ...untouched,
    workload,
    rewrites,
    images,
    carried: verdicts.flatMap((verdict) => verdict.carried ?? []),
    refusals: verdicts.flatMap((verdict) => verdict.refusal ?? []),
    keptOriginals: new Map(verdicts.flatMap((verdict) => verdict.kept ?? [])),
    warnings: [
      ...verdicts.flatMap((verdict) => verdict.warning ?? []),
      ...(rewrites || images.length === 0 ? [] : [cloneOnlyWarning(workload)]),
      // There nothing but the new ephemeral container can be rewritten.
      ...(untouched.imagesOnly ? [] : leftBehind(verdicts.flatMap(({ outside }) => outside ?? []))),
    ],
    pullSecrets: planPullSecrets(workload, old, policy),
    pod: {
      namespace: request.namespace,
      names: workload.pullSecrets ?? [],
      serviceAccount: workload.serviceAccount,
    },
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
  };
}

/** They sleep inside one of few workers when they are told to come back later (knative.md §1.5 says whose). */
function isClusterController(username: string): boolean {
  return (
    username === 'system:kube-controller-manager' ||
    /^system:serviceaccount:(kube-system|knative-serving):/.test(username)
  );
}

function isExempt(workload: Workload, request: ReviewRequest, policy: ReviewPolicy): boolean {
  const { labels, templateLabels, annotations } = workload;
  const own = policy.ownService;
  const isOwn =
    own !== undefined &&
    request.namespace === own.namespace &&
    (labels.get(knativeServiceLabel) === own.name ||
      (request.kind.group === 'serving.knative.dev' && request.name === own.name));
  return (
    isOwn ||
    labels.get(optOutLabel) === 'disabled' ||
    templateLabels.get(optOutLabel) === 'disabled' ||
    annotations.has(mirrorPodAnnotation)
  );
}

function isCloneOnly(workload: Workload, request: ReviewRequest, policy: ReviewPolicy): boolean {
  const { controller } = workload;
  if (controller === undefined) return false;
  const owner = `${controller.group}/${controller.kind}`;
  if (knownFighters.has(`${request.kind.kind} ← ${owner}`)) return true;
  const isMade = request.kind.kind === 'Pod' || request.kind.kind === 'Job';
  if (isMade && indifferentControllers.has(owner)) return false;
  return policy.cloneOnlyOwners.some((listed) => listed === '*' || listed === owner);
}

/** What is to happen at one place; at most one of the first four. */
interface PlaceVerdict {
  readonly clone?: Omit<PlannedImage, 'places'> & { readonly place: ImagePlace };
  readonly carried?: CarriedImage;
  readonly refusal?: Refusal;
  readonly kept?: readonly [readonly [string, string]];
  readonly warning?: string;
  readonly outside?: ImagePlace;
}

/** What places are judged by, looked up once for an object that may have thousands of them. */
interface Context {
  readonly before: ReadonlyMap<string, ImagePlace>;
  readonly originals: ReadonlyMap<string, string>;
  readonly oldOriginals: ReadonlyMap<string, string>;
  readonly isBackfill: boolean;
  readonly rewrites: boolean;
  readonly policy: ReviewPolicy;
}

function toContext(
  workload: Workload,
  old: Workload | undefined,
  rewrites: boolean,
  policy: ReviewPolicy,
): Context {
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

function judge(place: ImagePlace, context: Context): PlaceVerdict {
  const { policy } = context;
  const before = context.before.get(place.id);
  const isUnchanged = before?.image === place.image && !context.isBackfill;

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

function tryParse(image: string): Reference | CloneError {
  try {
    return parseReference(image);
  } catch (error) {
    if (error instanceof CloneError) return error;
    throw error;
  }
}

/** A place that already names the backup keeps its entry in the annotation, unless that entry is of another image. */
function keep(
  { id, position }: ImagePlace,
  image: Reference,
  { originals, oldOriginals, policy }: Context,
): PlaceVerdict {
  const recorded = [originals, oldOriginals]
    .flatMap((record) => [record.get(id), record.get(position)])
    .find((text) => text !== undefined);
  if (recorded === undefined) return {};
  const original = tryParse(recorded);
  if (original instanceof CloneError) return {};
  const isOriginal = isSameTag(backupReference(original, policy.backup), image);
  return isOriginal ? { kept: [[id, recorded]] } : {};
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

function isSameTag(a: Reference, b: Reference): boolean {
  return a.domain === b.domain && a.path === b.path && a.tag === b.tag;
}

function groupImages(
  clones: readonly (Omit<PlannedImage, 'places'> & { readonly place: ImagePlace })[],
): readonly PlannedImage[] {
  const groups = Map.groupBy(clones, ({ key }) => key);
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const { key, source, backup } = first;
    return [{ key, source, backup, places: group.map(({ place }) => place) }];
  });
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
