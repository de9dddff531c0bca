import { formatReference } from '../../image/reference.ts';
import type { CloneOutcome } from '../../ports/index.ts';
import { toPrintable } from '../../util/printable.ts';
import { isClusterController } from '../deadline.ts';
import type { Rewrite } from '../decide-image.ts';
import { isCertainlyDenied, type PlannedImage, type ReviewPlan } from '../plan.ts';
import { type AdmissionResponse, type AdmissionReview, allowed, denied } from '../review.ts';
import { encodePatch, toPatch } from './patch.ts';
import { type ImageProblem, toDenial, toProblems, toRefusal, toRetry } from './status.ts';
import { fitNote, fitWarning, toWarning } from './warning.ts';

/** Outcomes by `PlannedImage.key`. */
export type CloneOutcomes = ReadonlyMap<string, CloneOutcome>;

/** The id of a place, and what happened to its image. */
type Audit = readonly [id: string, text: string];

const maxAuditKeyLength = 63;
/** Longer than any image name; other text is a malformed one. */
const maxAuditNameLength = 1_024;
const usedLater = 'original image used until it changes or "just backfill" runs';
/** Bounds the warnings and the audit annotations: one object may have 10 000 containers. */
const maxLines = 50;

/** Computes the response of a review. Pure. An image without an outcome is still being copied. */
export function completeReview(plan: ReviewPlan, outcomes: CloneOutcomes): AdmissionReview {
  const { uid } = plan.request;
  const refused = plan.refusals.map(toRefusal);
  const forbidden = refused.filter(isForbidden);
  if (plan.isCloneOnly) {
    return forbidden.length > 0
      ? denied(uid, toDenial(forbidden), {})
      : allowed(uid, toExtras(plan.warnings, []));
  }

  const [edited, others] = partition(plan.images, ({ copy }) => copy?.kind === 'edited');
  const problems = others.flatMap((image) => toProblems(image, outcomes.get(image.key)));
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

  const unheld = edited.flatMap((image) => toProblems(image, outcomes.get(image.key)));
  const admitted = [
    // The name was the copy's before, so that "kubectl rollout undo" passes whatever a registry says.
    ...unheld.map((problem) => ({ problem, text: `not in the backup: ${problem.reason}` })),
    ...failed.map((problem) => ({ problem, text: `not backed up: ${problem.reason}` })),
    ...pending.map((problem) => ({ problem, text: `${usedLater}: ${problem.reason}` })),
  ];
  const { whenCopied, whenReused } = plan.pullSecrets;
  const isCopied = ready.some(({ copy }) => copy?.kind !== 'edited');
  const pullSecrets = isCopied ? whenCopied : whenReused;
  const rewrites = [
    ...plan.reused,
    ...ready.flatMap(toRewrites),
    ...edited.flatMap((image) => toRecord(image, outcomes.get(image.key))),
  ];
  const operations = toPatch(plan, rewrites, pullSecrets);
  return allowed(uid, {
    ...(operations.length > 0 && { patchType: 'JSONPatch', patch: encodePatch(operations) }),
    ...toExtras(
      [...warnings, ...admitted.map(toAdmittedWarning)],
      [...toAudit(ready), ...admitted.flatMap(toAdmittedAudit)],
    ),
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

function toRewrites({ places, source, copy, outcome }: ReadyImage): readonly Rewrite[] {
  const image = formatReference(outcome.image);
  const original = copy === undefined ? undefined : formatReference(source);
  return places.map((place) => ({ place, image, original: original ?? place.image }));
}

/** Records the original of an edited name whose copy will be there later; the name stays. */
function toRecord(
  { places, source }: PlannedImage,
  outcome: CloneOutcome | undefined,
): readonly Rewrite[] {
  if (outcome !== undefined && outcome.status !== 'pending') return [];
  const original = formatReference(source);
  return places.map((place) => ({ place, image: place.image, original }));
}

function partition<Item>(
  items: readonly Item[],
  isFirst: (item: Item) => boolean,
): readonly [readonly Item[], readonly Item[]] {
  return [items.filter(isFirst), items.filter((item) => !isFirst(item))];
}

/** A problem of an object that is admitted, with its consequence. */
interface AdmittedProblem {
  readonly problem: ImageProblem;
  readonly text: string;
}

function toAdmittedWarning({ problem: { image, places, backup }, text }: AdmittedProblem): string {
  return fitWarning(text, { image, places, ...(backup !== undefined && { others: [backup] }) });
}

/** A warning may be cut, so the audit annotation has the whole sentence. */
function toAdmittedAudit({ problem: { image, places }, text }: AdmittedProblem): readonly Audit[] {
  const shown = image.slice(0, maxAuditNameLength);
  return places.map(({ id }) => [id, toPrintable(`${shown} -> ${text}`)]);
}

function readyWarnings(images: readonly ReadyImage[], imagesOnly: boolean): readonly string[] {
  return images.flatMap(({ places, source, backup, outcome }) => {
    // The annotation cannot be written there, so a warning names the original.
    const originals = imagesOnly
      ? places.map(({ label, image }) =>
          fitNote(`${label}: runs the backup of ${image}`, { image }),
        )
      : [];
    const image = places[0]?.image ?? formatReference(source);
    const others = [source, backup];
    return [...outcome.warnings.map((text) => fitNote(text, { image, others })), ...originals];
  });
}

/** `containers.web` → `nginx:1.27 -> acme/nginx:1.27@sha256:…, copied, 1234 bytes, 56 ms` */
function toAudit(images: readonly ReadyImage[]): readonly Audit[] {
  return images.flatMap(
    ({ places, outcome: { image, digest, result, bytes, durationMs, warnings } }) => {
      const copy = formatReference({ ...image, ...(digest !== undefined && { digest }) });
      const done = `${copy}, ${result}, ${bytes} bytes, ${Math.round(durationMs)} ms`;
      const text = [done, ...warnings].join('; ');
      return places.map((place): Audit => [place.id, toPrintable(`${place.image} -> ${text}`)]);
    },
  );
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
  audit: readonly Audit[],
): Pick<AdmissionResponse, 'warnings' | 'auditAnnotations'> {
  return {
    ...(warnings.length > 0 && {
      warnings: [...new Set(warnings.map(toWarning))].slice(0, maxLines),
    }),
    ...(audit.length > 0 && { auditAnnotations: toAnnotations(audit) }),
  };
}

function toAnnotations(audit: readonly Audit[]): Readonly<Record<string, string>> {
  const entries = audit.slice(0, maxLines);
  return Object.fromEntries(entries.map(([id, text], index) => [toAuditKey(id, index), text]));
}
