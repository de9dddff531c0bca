import { formatReference } from '../image/reference.ts';
import type { CloneOutcome } from '../ports/index.ts';
import { toPrintable } from '../util/printable.ts';
import { isClusterController } from './deadline.ts';
import type { Rewrite } from './decide-image.ts';
import { encodePatch, toPatch } from './patch.ts';
import { isCertainlyDenied, type PlannedImage, type ReviewPlan } from './plan.ts';
import { type AdmissionResponse, type AdmissionReview, allowed, denied } from './review.ts';
import {
  formatAdmitted,
  type ImageProblem,
  toDenial,
  toFailure,
  toProblems,
  toRetry,
  toWarning,
} from './status.ts';

/** Outcomes by `PlannedImage.key`. */
export type CloneOutcomes = ReadonlyMap<string, CloneOutcome>;

const maxAuditKeyLength = 63;
/** Bounds the warnings and the audit annotations: one object may have 10 000 containers. */
const maxLines = 50;

/** Computes the response of a review. Pure. An image without an outcome is still being copied. */
export function completeReview(plan: ReviewPlan, outcomes: CloneOutcomes): AdmissionReview {
  const { uid } = plan.request;
  const refused = plan.refusals.flatMap(({ place, error }) => toFailure([place], error));
  const forbidden = refused.filter(isForbidden);
  if (plan.isCloneOnly) {
    return forbidden.length > 0
      ? denied(uid, toDenial(forbidden), {})
      : allowed(uid, toExtras(plan.warnings, []));
  }

  const problems = plan.images.flatMap(({ key, places }) => toProblems(places, outcomes.get(key)));
  const failed = [
    ...refused.filter((problem) => !isForbidden(problem)),
    ...problems.filter(({ error }) => error !== undefined),
  ];
  // A certain denial prevents all copies of the object, so its other images are not "still copying".
  const isCopying = !isCertainlyDenied(plan) || outcomes.size > 0;
  const pending = isCopying ? problems.filter(({ error }) => error === undefined) : [];
  const ready = plan.images.flatMap((image) => {
    const outcome = outcomes.get(image.key);
    return outcome?.status === 'ready' ? [{ ...image, outcome }] : [];
  });
  const warnings = [
    ...plan.warnings,
    ...readyWarnings(ready, plan.imagesOnly),
    ...toNotice(failed, plan.overriddenBy?.onError),
    ...toNotice(pending, plan.overriddenBy?.onDeadline),
  ];

  const denials = [...forbidden, ...(plan.onError === 'deny' ? failed : [])];
  const retries = plan.onDeadline === 'retry' ? pending : [];
  if (denials.length > 0 || retries.length > 0) {
    // Controllers of the cluster retry by themselves; with a 504 client-go would sleep in one of their workers.
    const isFinal = denials.length > 0 || isClusterController(plan.request.username);
    const status = isFinal ? toDenial([...denials, ...retries]) : toRetry(retries);
    return denied(uid, status, toExtras(warnings, []));
  }

  const admitted = [
    ...failed.map((problem) => formatAdmitted('not backed up', problem)),
    ...pending.map((problem) =>
      formatAdmitted('backup used from the next image change or "just backfill"', problem),
    ),
  ];
  const { whenCopied, whenReused } = plan.pullSecrets;
  const pullSecrets = ready.length > 0 ? whenCopied : whenReused;
  const rewrites = [...plan.reused, ...ready.flatMap(toRewrites)];
  const operations = toPatch(plan, rewrites, pullSecrets);
  return allowed(uid, {
    ...(operations.length > 0 && { patchType: 'JSONPatch', patch: encodePatch(operations) }),
    ...toExtras([...warnings, ...admitted], toAudit(ready)),
  });
}

/** `ON_ERROR` decides about every problem except this one, which is always denied. */
function isForbidden({ error }: ImageProblem): boolean {
  return error?.code === 'REGISTRY_NOT_ALLOWED';
}

/** Names the namespace override that decides about `problems`. */
function toNotice(
  problems: readonly ImageProblem[],
  override: string | undefined,
): readonly string[] {
  return problems.length === 0 || override === undefined ? [] : [override];
}

/** A planned image whose backup is ready. */
interface ReadyImage extends PlannedImage {
  readonly outcome: Extract<CloneOutcome, { status: 'ready' }>;
}

function toRewrites({ places, outcome }: ReadyImage): readonly Rewrite[] {
  const image = formatReference(outcome.image);
  return places.map((place) => ({ place, image, original: place.image }));
}

function readyWarnings(images: readonly ReadyImage[], imagesOnly: boolean): readonly string[] {
  return images.flatMap(({ places, outcome }) => {
    // The annotation cannot be written there, so a warning names the original.
    const originals = imagesOnly
      ? places.map(({ label, image }) => `${label}: runs the backup of ${image}`)
      : [];
    return [...outcome.warnings, ...originals];
  });
}

/** `containers.web` → `nginx:1.27 -> acme/nginx:1.27, copied, 1234 bytes, 56 ms` */
function toAudit(images: readonly ReadyImage[]): readonly (readonly [string, string])[] {
  return images
    .flatMap(({ places, outcome: { image, result, bytes, durationMs } }) => {
      const done = `${formatReference(image)}, ${result}, ${bytes} bytes, ${Math.round(durationMs)} ms`;
      return places.map((place) => [place.id, `${toPrintable(place.image)} -> ${done}`] as const);
    })
    .map(([id, text], index) => [toAuditKey(id, index), text] as const);
}

/** The API server drops keys that are no qualified names: 1–63 of `[A-Za-z0-9._-]`, alphanumeric at both ends. */
function toAuditKey(id: string, index: number): string {
  const isLong = id.length > maxAuditKeyLength;
  const suffix = isLong ? `.${index}` : '';
  // The slice comes first: the trailing pattern below is quadratic in the length of a run of dots.
  const key = id.slice(0, maxAuditKeyLength - suffix.length).replaceAll(/[^A-Za-z0-9._-]/g, '.');
  return isLong ? `${key}${suffix}` : key.replace(/[._-]+$/, '');
}

function toExtras(
  warnings: readonly string[],
  audit: readonly (readonly [string, string])[],
): Pick<AdmissionResponse, 'warnings' | 'auditAnnotations'> {
  return {
    ...(warnings.length > 0 && {
      warnings: [...new Set(warnings.map(toWarning))].slice(0, maxLines),
    }),
    ...(audit.length > 0 && { auditAnnotations: Object.fromEntries(audit.slice(0, maxLines)) }),
  };
}
