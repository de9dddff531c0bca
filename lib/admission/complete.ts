import { formatReference } from '../image/reference.ts';
import type { CloneOutcome } from '../ports/index.ts';
import { toPrintable } from '../util/printable.ts';
import { formatOriginalImages, originalImagesAnnotation } from './original-images.ts';
import { encodePatch, escapePointer, type PatchOperation } from './patch.ts';
import type { PlannedImage, ReviewPlan } from './plan.ts';
import { type AdmissionReview, allowed, denied } from './review.ts';
import { formatObstacle, type Obstacle, toDenial, toRetry, toWarning } from './status.ts';
import type { ImagePlace } from './workload.ts';

/** Outcomes by `PlannedImage.key`. */
export type CloneOutcomes = ReadonlyMap<string, CloneOutcome>;

/** One string that changes, and what the person had written there. */
interface Rewrite {
  readonly place: ImagePlace;
  readonly image: string;
  readonly original: string;
}

const maxAuditKeyLength = 63;
/** Nobody reads more, and 10 000 containers fit into one object. */
const maxLines = 50;

/** Plan + what became of its images → the answer. Pure. An image without an outcome is still being copied. */
export function completeReview(plan: ReviewPlan, outcomes: CloneOutcomes): AdmissionReview {
  const { uid } = plan.request;
  const refused = plan.refusals.map(({ place, error }) => ({
    places: [place],
    reason: error.message,
    error,
  }));
  // What the administrator forbids is denied always; every other reason for having no copy follows ON_ERROR.
  const forbidden = refused.filter(({ error }) => error.code === 'REGISTRY_NOT_ALLOWED');
  const unreadable = refused.filter(({ error }) => error.code !== 'REGISTRY_NOT_ALLOWED');
  const failed = [...unreadable, ...plan.images.flatMap((image) => toFailure(image, outcomes))];
  // Nothing is copied for an object that may not be, so nothing is said of its other images.
  const pending =
    forbidden.length > 0 && outcomes.size === 0
      ? []
      : plan.images.flatMap((image) => toPending(image, outcomes));

  if (!plan.rewrites) {
    return forbidden.length > 0
      ? denied(uid, toDenial(forbidden), {})
      : allowed(uid, toExtras(plan.warnings.map(toWarning), []));
  }
  const ready = plan.images.flatMap((image) => toRewrites(image, outcomes));
  const warnings = [
    ...plan.warnings,
    ...readyWarnings(plan, outcomes),
    ...(failed.length > 0 ? toRule(plan.ruledBy?.onError) : []),
    ...(pending.length > 0 ? toRule(plan.ruledBy?.onDeadline) : []),
  ];
  const denials = [...forbidden, ...(plan.onError === 'deny' ? failed : [])];
  const waits = plan.onDeadline === 'retry' ? pending : [];
  if (denials.length > 0) {
    return denied(uid, toDenial([...denials, ...waits]), toExtras(warnings.map(toWarning), []));
  }
  if (waits.length > 0) {
    // The cluster's own controllers come back by themselves; told to wait, they would sleep in a worker.
    const status = plan.isImpatient ? toDenial(waits) : toRetry(waits);
    return denied(uid, status, toExtras(warnings.map(toWarning), []));
  }
  const admitted = [
    ...failed.map((obstacle) => `not backed up, ${formatObstacle(obstacle)}`),
    ...pending.map(
      (obstacle) =>
        `backup used from the next image change, or by "just backfill": ${formatObstacle(obstacle)}`,
    ),
  ];
  const carried = plan.carried.map(({ place, image, original }) => ({ place, image, original }));
  const operations = toPatch(plan, [...carried, ...ready], ready.length > 0);
  return allowed(uid, {
    ...(operations.length > 0 && { patchType: 'JSONPatch', patch: encodePatch(operations) }),
    ...toExtras([...warnings, ...admitted].map(toWarning), toAudit(plan, outcomes)),
  });
}

/** Whose rule it is, where that is not the administrator's. */
function toRule(rule: string | undefined): readonly string[] {
  return rule === undefined ? [] : [rule];
}

function toFailure(image: PlannedImage, outcomes: CloneOutcomes): readonly Obstacle[] {
  const outcome = outcomes.get(image.key);
  if (outcome?.status !== 'failed') return [];
  const { error } = outcome;
  return [{ places: image.places, reason: error.message, error }];
}

function toPending(image: PlannedImage, outcomes: CloneOutcomes): readonly Obstacle[] {
  const outcome = outcomes.get(image.key);
  if (outcome !== undefined && outcome.status !== 'pending') return [];
  const detail = outcome === undefined ? '' : `: ${outcome.detail}`;
  const name = formatReference(image.source);
  return [
    {
      places: image.places,
      reason:
        outcome?.stage === 'waiting'
          ? `${name} waits to be copied${detail}`
          : `still copying ${name}${detail}`,
      retryAfterSeconds: outcome?.retryAfterSeconds ?? 1,
    },
  ];
}

function toRewrites(planned: PlannedImage, outcomes: CloneOutcomes): readonly Rewrite[] {
  const outcome = outcomes.get(planned.key);
  if (outcome?.status !== 'ready') return [];
  const image = formatReference(outcome.image);
  return planned.places.map((place) => ({ place, image, original: place.image }));
}

function readyWarnings(
  { images, imagesOnly }: ReviewPlan,
  outcomes: CloneOutcomes,
): readonly string[] {
  return images.flatMap(({ key, places }) => {
    const outcome = outcomes.get(key);
    if (outcome?.status !== 'ready') return [];
    // Where the annotation cannot be kept, the person is told what the image was.
    const originals = imagesOnly
      ? places.map(({ label, image }) => `${label}: runs the backup of ${image}`)
      : [];
    return [...outcome.warnings, ...originals];
  });
}

/** Each change is guarded by a test of what was received, so that a patch can never hit another image. */
function toPatch(
  plan: ReviewPlan,
  rewrites: readonly Rewrite[],
  hasCloned: boolean,
): readonly PatchOperation[] {
  if (rewrites.length === 0) return [];
  const images = rewrites.flatMap(({ place, image }): readonly PatchOperation[] => [
    { op: 'test', path: place.pointer, value: place.image },
    { op: 'replace', path: place.pointer, value: image },
  ]);
  if (plan.imagesOnly) return images;
  return [...images, ...toAnnotationPatch(plan, rewrites), ...toPullSecretPatch(plan, hasCloned)];
}

function toAnnotationPatch(
  { workload, keptOriginals }: ReviewPlan,
  rewrites: readonly Rewrite[],
): readonly PatchOperation[] {
  const originals = new Map([
    ...keptOriginals,
    ...rewrites.map(({ place, original }) => [place.id, original] as const),
  ]);
  const value = formatOriginalImages(originals);
  if (workload?.annotations.get(originalImagesAnnotation) === value) return [];
  const annotations = { [originalImagesAnnotation]: value };
  switch (workload?.annotationParent) {
    case undefined:
    case 'object':
      return [{ op: 'add', path: '/metadata', value: { annotations } }];
    case 'metadata':
      return [{ op: 'add', path: '/metadata/annotations', value: annotations }];
    case 'annotations': {
      const key = escapePointer(originalImagesAnnotation);
      return [{ op: 'add', path: `/metadata/annotations/${key}`, value }];
    }
  }
}

/** Appended, never replaced: the pod's own secrets stay in force. */
function toPullSecretPatch(
  { workload, pullSecrets }: ReviewPlan,
  hasCloned: boolean,
): readonly PatchOperation[] {
  const names = hasCloned ? pullSecrets.whenCloned : pullSecrets.whenCarried;
  if (workload === undefined || names.length === 0) return [];
  const path = `${workload.podSpec}/imagePullSecrets`;
  const entries = names.map((name) => ({ name }));
  return workload.pullSecrets === undefined
    ? [{ op: 'add', path, value: entries }]
    : entries.map((value) => ({ op: 'add', path: `${path}/-`, value }) as const);
}

/** `containers.web` → `nginx:1.27 -> acme/nginx:1.27, copied, 1234 bytes, 56 ms` */
function toAudit(
  plan: ReviewPlan,
  outcomes: CloneOutcomes,
): readonly (readonly [string, string])[] {
  return plan.images
    .flatMap(({ key, places }) => {
      const outcome = outcomes.get(key);
      if (outcome?.status !== 'ready') return [];
      const { image, result, bytes, durationMs } = outcome;
      const done = `${formatReference(image)}, ${result}, ${bytes} bytes, ${Math.round(durationMs)} ms`;
      return places.map((place) => [place.id, `${toPrintable(place.image)} -> ${done}`] as const);
    })
    .map(([id, text], index) => [toAuditKey(id, index), text] as const);
}

/** The API server drops keys that are no qualified names: 1–63 of `[A-Za-z0-9._-]`, alphanumeric at both ends. */
function toAuditKey(id: string, index: number): string {
  const isLong = id.length > maxAuditKeyLength;
  const suffix = isLong ? `.${index}` : '';
  // Cut first: to look for the end of a million dots takes hours.
  const key = id.slice(0, maxAuditKeyLength - suffix.length).replaceAll(/[^A-Za-z0-9._-]/g, '.');
  return isLong ? `${key}${suffix}` : key.replace(/[._-]+$/, '');
}

function toExtras(
  warnings: readonly string[],
  audit: readonly (readonly [string, string])[],
): {
  readonly warnings?: readonly string[];
  readonly auditAnnotations?: Readonly<Record<string, string>>;
} {
  return {
    ...(warnings.length > 0 && { warnings: [...new Set(warnings)].slice(0, maxLines) }),
    ...(audit.length > 0 && { auditAnnotations: Object.fromEntries(audit.slice(0, maxLines)) }),
  };
}
