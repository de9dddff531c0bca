import { backfillAnnotation } from '../admission/decide-image.ts';
import { tryParse } from '../admission/original-images.ts';
import { type PlannedImage, planReview, type ReviewPlan } from '../admission/plan.ts';
import type { ReviewPolicy } from '../admission/policy.ts';
import { parseReview } from '../admission/review.ts';
import { type ImagePlace, parseWorkload, type Workload } from '../admission/workload.ts';
import { CloneError } from '../errors.ts';
import { isBackup } from '../image/backup-name.ts';
import type { StoredWorkload } from '../ports/index.ts';
import { toUpdateReview, withAnnotation } from './stored-workload.ts';

/** What a backfill would find at one place of an object. */
export type Finding = {
  readonly place: ImagePlace;
} & (
  | { /** The copy is what the object names already. */ readonly state: 'rewritten' }
  | { readonly state: 'ignored' | 'refused'; readonly reason: string }
  | { readonly state: 'wanted'; readonly image: PlannedImage }
);

/** What a backfill would do to one object. */
export interface Assessment {
  readonly stored: StoredWorkload;
  readonly findings: readonly Finding[];
  /** Why the object is left as it is, whatever images it names. */
  readonly left?: string;
  readonly plan: ReviewPlan;
}

/**
 * What the webhook would do if the backfill annotation were written on the object now: the same plan, for the review that the API
 * server would send. Pure. Throws `CloneError` `INVALID_REVIEW` for an object that cannot be read.
 */
export function assess(stored: StoredWorkload, policy: ReviewPolicy, stamp: string): Assessment {
  const body = toUpdateReview(
    stored,
    withAnnotation(stored.object, backfillAnnotation, stamp),
    'backfill',
  );
  const plan = planReview(body, policy);
  const workload = plan.workload ?? parseWorkload(parseReview(body), 'object');
  const left = whyLeft(stored, plan, workload);
  return {
    stored,
    findings: workload.places.map((place) => toFinding(place, plan, policy)),
    ...(left !== undefined && { left }),
    plan,
  };
}

/** Whether anything is to be done for the object. */
export function isOpen({ findings, left }: Assessment): boolean {
  return left === undefined && findings.some(({ state }) => state === 'wanted');
}

function whyLeft(
  { kind, namespace }: StoredWorkload,
  plan: ReviewPlan,
  { controller, labels, templateLabels }: Workload,
): string | undefined {
  if (controller !== undefined) return `${controller.kind} controls it`;
  if (kind.kind === 'Job') return "a Job's template cannot be changed";
  if (kind.kind === 'Pod') return 'a pod that runs is not changed';
  if (plan.workload !== undefined) return undefined;
  const isOptedOut = [labels, templateLabels].some(
    (each) => each.get('image-cloner') === 'disabled',
  );
  return isOptedOut
    ? 'it is labelled image-cloner: disabled'
    : `image-cloner keeps out of it, or of the namespace ${namespace}`;
}

function toFinding(place: ImagePlace, plan: ReviewPlan, policy: ReviewPolicy): Finding {
  const isHere = ({ pointer }: ImagePlace): boolean => pointer === place.pointer;
  const image = plan.images.find(({ places }) => places.some(isHere));
  if (image !== undefined) return { place, state: 'wanted', image };
  const refusal = plan.refusals.find((refused) => isHere(refused.place));
  if (refusal !== undefined) return { place, state: 'refused', reason: refusal.error.message };
  if (namesBackup(place, policy)) return { place, state: 'rewritten' };
  const mark = `${place.label}: `;
  const warning = plan.warnings.find((text) => text.startsWith(mark));
  const reason = warning?.slice(mark.length) ?? 'left alone';
  return { place, state: 'ignored', reason };
}

function namesBackup({ image }: ImagePlace, { backup }: ReviewPolicy): boolean {
  const reference = tryParse(image);
  return !(reference instanceof CloneError) && isBackup(reference, backup);
}
