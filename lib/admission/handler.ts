import type { EnsureBackup } from '../cloner/ensure-backup.ts';
import type {
  CloneOutcome,
  EndedReview,
  Logger,
  NamespaceAnnotations,
  Observer,
  ReviewEvent,
  WorkloadSecrets,
} from '../ports/index.ts';
import { type CloneOutcomes, completeReview, formatProblems, toRefusal } from './answer/index.ts';
import { type ReviewOptions, settledWithin, toDeadline } from './deadline.ts';
import { isCertainlyDenied, planAnswer, type ReviewPlan } from './plan.ts';
import { type Override, overridePolicy, type ReviewPolicy } from './policy.ts';
import { completePullSecrets } from './pull-secrets.ts';
import type { AdmissionReview } from './review.ts';

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

const noOutcomes: CloneOutcomes = new Map();
const pullSecretsBudgetMs = 5_000;
/** Longer than the name of any object with its namespace; a forged review may contain more. */
const maxLoggedLength = 320;

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
    try {
      // Most reviews name no image to copy, and skip what only waits.
      const outcomes = needsBackups(plan) ? await ensureBackups(plan, options, deps) : noOutcomes;
      const complete = outcomes.size > 0 ? await withPullSecrets(plan, outcomes, deps) : plan;
      const completed = completeReview(complete, outcomes);
      const ms = now() - startedAt;
      logger.info(toLogFields(plan, completed, ms), 'review answered');
      count(plan, verdictOf(completed), ms);
      const isNews = outcomes.size > 0 || !completed.response.allowed;
      if (isNews) observer.reviewEnded?.(toEnded(plan, outcomes, completed));
      return completed;
    } catch (error) {
      count(plan, 'error', now() - startedAt);
      throw error;
    }
  }

  function count({ request }: ReviewPlan, verdict: ReviewEvent['verdict'], ms: number): void {
    const { kind, operation } = request;
    observer.reviewed({ kind: kind.kind, operation, verdict, seconds: ms / 1000 });
  }
}

/** The namespace is read only if the review names images to copy or to refuse. */
async function planWithOverrides(
  body: unknown,
  { policy, overrides }: ReviewHandlerDeps,
): Promise<ReviewPlan> {
  const plan = planAnswer(body, policy);
  const { namespace } = plan.request;
  const namesImages = plan.images.length > 0 || plan.refusals.length > 0;
  if (overrides === undefined || !namesImages || namespace === '') return plan;
  // The port has its own timeout.
  const annotations = await overrides.annotations.read(namespace, new AbortController().signal);
  if (annotations === undefined) return plan;
  const { allowed } = overrides;
  const overridden = overridePolicy(policy, { namespace, annotations, allowed });
  const own = planAnswer(body, overridden.policy);
  return { ...own, warnings: [...own.warnings, ...overridden.warnings] };
}

function needsBackups(plan: ReviewPlan): boolean {
  return plan.images.length > 0 && !isCertainlyDenied(plan) && !isDryRunWithoutPatch(plan);
}

/** Makes the backup hold the images of the plan. An image without an outcome at the deadline is still being copied. */
async function ensureBackups(
  plan: ReviewPlan,
  options: ReviewOptions,
  { ensureBackup, logger }: ReviewHandlerDeps,
): Promise<CloneOutcomes> {
  const { images, pod, request } = plan;
  const { uid, dryRun, namespace, username } = request;
  const { answerWaitMs, ...deadline } = toDeadline(plan, options);
  const common = { pod, namespace, dryRun, uid, isInteractive: isInteractive(username) };
  const outcomes = new Map<string, CloneOutcome>();
  const all = Promise.all(
    images.map(async ({ key, source, backup, copy }) => {
      outcomes.set(
        key,
        await ensureBackup({
          source,
          backup,
          ...common,
          ...deadline,
          ...(copy?.kind === 'edited' && { backupFirst: { forbidden: copy.forbidden } }),
          ...(copy?.kind === 'former' && { lastResort: copy.reference }),
        }),
      );
    }),
  );
  if (answerWaitMs === undefined) {
    await all;
    return outcomes;
  }
  all.catch((error: unknown) =>
    logger.error({ uid, err: error }, 'copy failed after the response'),
  );
  await settledWithin(all, answerWaitMs);
  return new Map(outcomes);
}

/** `ensureBackup` reads the registries in a dry run and writes nothing. Without a patch to predict it need not read either. */
function isDryRunWithoutPatch({ isCloneOnly, request }: ReviewPlan): boolean {
  return isCloneOnly && request.dryRun;
}

/** GitOps tools, operators and parts of the cluster repeat a write until it succeeds. `system:admin` can be a person. */
function isInteractive(username: string): boolean {
  return !/^system:(serviceaccount:|node:|kube-|apiserver$)/.test(username);
}

/** The cluster is read only if the patch appends a pull secret. */
async function withPullSecrets(
  plan: ReviewPlan,
  outcomes: CloneOutcomes,
  { workloadSecrets }: ReviewHandlerDeps,
): Promise<ReviewPlan> {
  const isCopied = [...outcomes.values()].some(({ status }) => status === 'ready');
  if (workloadSecrets === undefined || plan.isCloneOnly || !isCopied) return plan;
  return await completePullSecrets(plan, workloadSecrets, AbortSignal.timeout(pullSecretsBudgetMs));
}

function toLogFields(
  plan: ReviewPlan,
  completed: AdmissionReview,
  ms: number,
): Parameters<Logger['info']>[0] {
  const { uid, kind, operation, namespace, name, dryRun } = plan.request;
  const { status, warnings } = completed.response;
  return {
    uid,
    kind: shorten(kind.group === '' ? kind.kind : `${kind.group}/${kind.kind}`),
    operation: shorten(operation),
    object: shorten(namespace === '' ? name : `${namespace}/${name}`),
    dryRun,
    verdict: verdictOf(completed),
    ...(status !== undefined && { message: status.message }),
    // Images that were copied, or failed, have their own lines.
    ...(status === undefined &&
      plan.refusals.length > 0 && { refused: formatProblems(plan.refusals.map(toRefusal)) }),
    ...(warnings !== undefined && { warnings: warnings.length }),
    ms: Math.round(ms),
  };
}

function toEnded(
  { request, workload, images }: ReviewPlan,
  outcomes: CloneOutcomes,
  completed: AdmissionReview,
): EndedReview {
  const { kind, namespace, name, operation, dryRun } = request;
  const uid = operation === 'CREATE' ? undefined : workload?.uid;
  return {
    object: { ...kind, namespace: shorten(namespace), name: shorten(name), uid },
    dryRun,
    refusal: verdictOf(completed) === 'denied' ? completed.response.status?.message : undefined,
    images: images.flatMap(({ key, backup, places: [place] }) => {
      const outcome = outcomes.get(key);
      return outcome === undefined ? [] : { image: place?.image ?? '', backup, outcome };
    }),
  };
}

function shorten(text: string): string {
  return text.length > maxLoggedLength ? `${text.slice(0, maxLoggedLength)}…` : text;
}

function verdictOf({ response }: AdmissionReview): ReviewEvent['verdict'] {
  if (!response.allowed) return response.status?.code === 504 ? 'retry' : 'denied';
  return response.patch === undefined ? 'untouched' : 'patched';
}
