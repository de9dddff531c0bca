import type { EnsureBackup } from '../cloner/ensure-backup.ts';
import type {
  CloneOutcome,
  Logger,
  NamespaceAnnotations,
  Observer,
  ReviewEvent,
  WorkloadSecrets,
} from '../ports/index.ts';
import { type CloneOutcomes, completeReview } from './complete.ts';
import { completePullSecrets } from './complete-pull-secrets.ts';
import { type ReviewOptions, settledWithin, toDeadline } from './deadline.ts';
import { isController } from './exemption.ts';
import { type Override, overridePolicy } from './overrides.ts';
import { planReview, type ReviewPlan } from './plan.ts';
import type { ReviewPolicy } from './policy.ts';
import type { AdmissionReview } from './review.ts';
import { logReview, verdictOf } from './review-log.ts';

/** What namespaces may override, and where their annotations are read. */
export interface NamespaceOverrides {
  readonly allowed: readonly Override[];
  readonly annotations: NamespaceAnnotations;
}

export interface ReviewHandlerDeps {
  readonly ensureBackup: EnsureBackup;
  readonly policy: ReviewPolicy;
  readonly workloadSecrets: WorkloadSecrets | undefined;
  readonly overrides: NamespaceOverrides | undefined;
  readonly logger: Logger;
  readonly observer: Observer;
  /** Monotonic milliseconds, for durations. */
  readonly now: () => number;
}

/** AdmissionReview in, AdmissionReview out. Rejects with `CloneError` `INVALID_REVIEW` for any other body. */
export type AdmissionHandler = (body: unknown, options: ReviewOptions) => Promise<AdmissionReview>;

const pullSecretsBudgetMs = 5_000;

/** Plans the review, makes the backup hold every image, and completes the review. */
export function createReviewHandler(deps: ReviewHandlerDeps): AdmissionHandler {
  const { logger, observer, now } = deps;

  // Not async: an async function would keep the body, which may have megabytes, in memory until registries answer.
  return function review(body, options) {
    const startedAt = now();
    return planWithOverrides(body, deps).then((plan) => answer(plan, options, startedAt));
  };

  async function answer(
    plan: ReviewPlan,
    options: ReviewOptions,
    startedAt: number,
  ): Promise<AdmissionReview> {
    const { kind, operation } = plan.request;
    const count = (verdict: ReviewEvent['verdict']): void =>
      observer.reviewed({
        kind: kind.kind,
        operation,
        verdict,
        seconds: (now() - startedAt) / 1000,
      });
    try {
      const outcomes = await ensureBackups(plan, options, deps);
      const complete = await withPullSecrets(plan, outcomes, deps.workloadSecrets);
      const completed = completeReview(complete, outcomes);
      const verdict = verdictOf(completed);
      logReview(logger, plan, completed, verdict, now() - startedAt);
      count(verdict);
      return completed;
    } catch (error) {
      count('error');
      throw error;
    }
  }
}

/** The namespace is read only if the review names images to copy or to refuse. */
async function planWithOverrides(
  body: unknown,
  { policy, overrides }: ReviewHandlerDeps,
): Promise<ReviewPlan> {
  const plan = planReview(body, policy);
  const { namespace } = plan.request;
  const isAtStake = plan.images.length > 0 || plan.refusals.length > 0;
  if (overrides === undefined || !isAtStake || namespace === '') return plan;
  // The port has its own timeout.
  const annotations = await overrides.annotations.read(namespace, new AbortController().signal);
  if (annotations === undefined) return plan;
  const { allowed } = overrides;
  const overridden = overridePolicy(policy, { namespace, annotations, allowed });
  const own = planReview(body, overridden.policy);
  return { ...own, warnings: [...own.warnings, ...overridden.warnings] };
}

/** Makes the backup hold the images of the plan. An image without an outcome at the deadline is still being copied. */
async function ensureBackups(
  plan: ReviewPlan,
  options: ReviewOptions,
  { ensureBackup, logger }: ReviewHandlerDeps,
): Promise<CloneOutcomes> {
  if (!needsBackups(plan)) return new Map();
  const { uid, dryRun, namespace, username } = plan.request;
  const { answerWaitMs, ...deadline } = toDeadline(plan, options);
  const isInteractive = !isController(username);
  const outcomes = new Map<string, CloneOutcome>();
  const all = Promise.all(
    plan.images.map(async ({ key, source, backup }) => {
      const image = { source, backup, pod: plan.pod, namespace, isInteractive, dryRun, uid };
      outcomes.set(key, await ensureBackup({ ...image, ...deadline }));
    }),
  );
  if (answerWaitMs === undefined) {
    await all;
    return outcomes;
  }
  all.catch((error: unknown) => logger.error({ uid, err: error }, 'copy behind an answer failed'));
  await settledWithin(all, answerWaitMs);
  return new Map(outcomes);
}

/** The answer to a dry run of a clone-only object does not depend on its images; other dry runs read the registries only. */
function needsBackups({ images, refusals, rewrites, request }: ReviewPlan): boolean {
  const isForbidden = refusals.some(({ error }) => error.code === 'REGISTRY_NOT_ALLOWED');
  return images.length > 0 && !isForbidden && (rewrites || !request.dryRun);
}

/** The cluster is read only if the patch appends a pull secret. */
async function withPullSecrets(
  plan: ReviewPlan,
  outcomes: CloneOutcomes,
  secrets: WorkloadSecrets | undefined,
): Promise<ReviewPlan> {
  const isCloned = [...outcomes.values()].some(({ status }) => status === 'ready');
  if (secrets === undefined || !plan.rewrites || !isCloned) return plan;
  return await completePullSecrets(plan, secrets, AbortSignal.timeout(pullSecretsBudgetMs));
}
