import { backfillAnnotation } from '../admission/decide-image.ts';
import { type PlannedImage, planReview, type ReviewPlan } from '../admission/plan.ts';
import type { ReviewPolicy } from '../admission/policy.ts';
import type { ImagePlace, Workload } from '../admission/workload.ts';
import type { StoredWorkload } from '../ports/index.ts';
import { parseBackup } from './originals.ts';
import {
  explainImmutable,
  parseStoredObject,
  toUpdateReview,
  withAnnotation,
} from './stored-workload.ts';

/** What a backfill would do at one place of an object. */
export type PlaceAssessment = {
  readonly place: ImagePlace;
} & (
  | { /** The place names a backup already. */ readonly state: 'rewritten' }
  | { readonly state: 'ignored' | 'refused'; readonly reason: string }
  | { readonly state: 'rewritable'; readonly image: PlannedImage }
);

/** What a backfill would do to one object. */
export interface Assessment {
  readonly stored: StoredWorkload;
  readonly places: readonly PlaceAssessment[];
  /** Why the object is skipped, whatever images it names. */
  readonly skipped?: string;
  readonly plan: ReviewPlan;
}

/**
 * Plans what the webhook would do if the backfill annotation of the object changed now: it plans the review that the API server
 * would send. Throws `CloneError` `INVALID_REVIEW` for a malformed object.
 */
export function assess(
  stored: StoredWorkload,
  policy: ReviewPolicy,
  annotationValue: string,
): Assessment {
  const annotated = withAnnotation(stored.object, backfillAnnotation, annotationValue);
  const plan = planReview(toUpdateReview(stored, annotated, 'backfill'), policy);
  const workload = plan.workload ?? parseStoredObject(stored);
  const skipped = explainSkipped(stored, plan, workload);
  return {
    stored,
    places: workload.places.map((place) => assessPlace(place, plan, policy)),
    ...(skipped !== undefined && { skipped }),
    plan,
  };
}

/** Whether the webhook would rewrite an image of the object. */
export function isRewritable({ places, skipped }: Assessment): boolean {
  return skipped === undefined && places.some(({ state }) => state === 'rewritable');
}

function explainSkipped(
  stored: StoredWorkload,
  plan: ReviewPlan,
  workload: Workload,
): string | undefined {
  const immutable = explainImmutable(stored, workload);
  if (immutable !== undefined || plan.workload !== undefined) return immutable;
  return explainExempt(stored, workload);
}

/** Why the webhook ignores an object. */
export function explainExempt({ namespace }: StoredWorkload, workload: Workload): string {
  const isOptedOut = [workload.labels, workload.templateLabels].some(
    (labels) => labels.get('image-cloner') === 'disabled',
  );
  return isOptedOut
    ? 'it is labelled image-cloner: disabled'
    : `it or its namespace ${namespace} is excluded`;
}

function assessPlace(place: ImagePlace, plan: ReviewPlan, policy: ReviewPolicy): PlaceAssessment {
  const isSame = ({ pointer }: ImagePlace): boolean => pointer === place.pointer;
  const image = plan.images.find(({ places }) => places.some(isSame));
  if (image !== undefined) return { place, state: 'rewritable', image };
  const refusal = plan.refusals.find((refused) => isSame(refused.place));
  if (refusal !== undefined) return { place, state: 'refused', reason: refusal.error.message };
  if (parseBackup(place.image, policy.backup) !== undefined) return { place, state: 'rewritten' };
  const prefix = `${place.label}: ignored: `;
  const warning = plan.warnings.find((text) => text.startsWith(prefix));
  const reason = warning?.slice(prefix.length) ?? 'it needs no copy';
  return { place, state: 'ignored', reason };
}
