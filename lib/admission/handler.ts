import { createEnsureBackup, type EnsureBackup } from '../cloner/ensure-backup.ts';
import { type Copies, createCopies } from '../cloner/queue/index.ts';
import { CloneError } from '../errors.ts';
import type {
  CloneOutcome,
  CredentialSource,
  Credentials,
  ImageCloner,
  Logger,
  NamespaceAnnotations,
  Observer,
  ReviewEvent,
  WorkloadSecrets,
} from '../ports/index.ts';
import { type CloneOutcomes, completeReview } from './complete.ts';
import { completePullSecrets } from './complete-pull-secrets.ts';
import { isController } from './exemption.ts';
import { type Override, overridePolicy } from './overrides.ts';
import { type PlannedImage, planReview, type ReviewPlan } from './plan.ts';
import type { ReviewPolicy } from './policy.ts';
import type { AdmissionReview } from './review.ts';
import { logReview, verdictOf } from './review-log.ts';

export interface AdmissionHandlerDeps {
  readonly cloner: ImageCloner;
  readonly policy: ReviewPolicy;
  /** @default none: anonymous */
  readonly sourceCredentials?: CredentialSource;
  /** Pull secrets of the workloads themselves. @default they are not read */
  readonly workloadSecrets?: WorkloadSecrets;
  /** What namespaces may decide for themselves, and where they say it. @default nothing */
  readonly overrides?: {
    readonly allowed: readonly Override[];
    readonly annotations: NamespaceAnnotations;
  };
  /** @default anonymous */
  readonly backupCredentials?: () => Promise<Credentials | undefined>;
  /** Shared with whoever has to wait for the copies at the end. @default four at once */
  readonly copies?: Copies;
  /** @default false */
  readonly pinDigests?: boolean;
  /** @default false */
  readonly adoptExisting?: boolean;
  /** `CLUSTER_ID`: tells clusters that share a backup from each other. @default one for all that have none */
  readonly clusterId?: string;
  /** Whether private images may go to a backup that anybody can read. @default deny */
  readonly privateToPublic?: 'deny' | 'allow';
  /** @default silent */
  readonly logger?: Logger;
  /** @default nobody counts */
  readonly observer?: Observer;
  /** Milliseconds, for durations only. */
  readonly now?: () => number;
  /** Milliseconds since 1970, for what is written into the backup. @default the system's clock */
  readonly wallClock?: () => number;
  /** Runs what nobody waits for. @default two seconds later */
  readonly soon?: (work: () => Promise<void>) => void;
}

export interface ReviewOptions {
  /** Fires when the API server hangs up, or with a `CloneError` for the answer: nobody waits any more, but the copy goes on. */
  readonly signal: AbortSignal;
  /** How long the answer may take. */
  readonly budgetMs: number;
}

/** AdmissionReview in, AdmissionReview out. Rejects with `CloneError` `INVALID_REVIEW` for anything else. */
export type AdmissionHandler = (body: unknown, options: ReviewOptions) => Promise<AdmissionReview>;

/** The cluster's own controllers are answered within this time. */
const controllerBudgetMs = 1_000;
/** So that their answer says how far the copy is. */
const controllerCopyWaitMs = 800;
/** For names that are appended: the port has a shorter patience of its own. */
const pullSecretsBudgetMs = 5_000;

const blind: Observer = { reviewed() {}, cloned() {}, backupAnswered() {} };
const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** The use case, start to end: plan, make the backup hold every image, complete. All collaborators are given. */
export function createAdmissionHandler(deps: AdmissionHandlerDeps): AdmissionHandler {
  const { logger = silent, observer = blind, now = () => performance.now() } = deps;
  const ensureBackup = toEnsureBackup(deps);

  // Not async: what waits keeps its arguments, and a body becomes megabytes that nobody needs while registries are silent.
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
      const outcomes = await cloneAll(plan, ensureBackup, options, logger);
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

/** What stands between a plan and the adapters, as the handler has it: for the entrances that plan by themselves. */
export function toEnsureBackup(deps: Omit<AdmissionHandlerDeps, 'policy'>): EnsureBackup {
  const { logger = silent, observer = blind, now = () => performance.now() } = deps;
  return createEnsureBackup({
    cloner: deps.cloner,
    copies: deps.copies ?? createCopies({ now }),
    sourceCredentials: deps.sourceCredentials ?? { credentialsFor: () => Promise.resolve([]) },
    workloadSecrets: deps.workloadSecrets,
    backupCredentials: deps.backupCredentials ?? (() => Promise.resolve(undefined)),
    pinDigests: deps.pinDigests ?? false,
    adoptExisting: deps.adoptExisting ?? false,
    clusterId: deps.clusterId ?? '',
    privateToPublic: deps.privateToPublic ?? 'deny',
    logger,
    observer,
    now,
    wallClock: deps.wallClock,
    ...(deps.soon !== undefined && { soon: deps.soon }),
  });
}

/** A namespace is asked for its say only where something is at stake. */
async function planWithOverrides(
  body: unknown,
  { policy, overrides }: Pick<AdmissionHandlerDeps, 'policy' | 'overrides'>,
): Promise<ReviewPlan> {
  const plan = planReview(body, policy);
  const { namespace } = plan.request;
  const isAtStake = plan.images.length > 0 || plan.refusals.length > 0;
  if (overrides === undefined || !isAtStake || namespace === '') return plan;
  // The port has a short patience of its own.
  const annotations = await overrides.annotations.read(namespace, new AbortController().signal);
  if (annotations === undefined) return plan;
  const { allowed } = overrides;
  const overridden = overridePolicy(policy, { namespace, annotations, allowed });
  const own = planReview(body, overridden.policy);
  return { ...own, warnings: [...own.warnings, ...overridden.warnings] };
}

async function cloneAll(
  plan: ReviewPlan,
  ensureBackup: EnsureBackup,
  options: ReviewOptions,
  logger: Logger,
): Promise<CloneOutcomes> {
  const isForbidden = plan.refusals.some(({ error }) => error.code === 'REGISTRY_NOT_ALLOWED');
  if (plan.images.length === 0 || isForbidden || (!plan.rewrites && plan.request.dryRun)) {
    return new Map();
  }
  const { uid, dryRun, namespace, username } = plan.request;
  const isInteractive = !isController(username);
  const outcomes = new Map<string, CloneOutcome>();
  // What is answered before the copy is done goes on behind, so it must not end with the caller's connection.
  const isDetached = plan.isImpatient || !plan.rewrites;
  const { budgetMs } = options;
  const waiting = isDetached ? new AbortController().signal : untilHangUp(options.signal);
  const all = Promise.all(
    plan.images.map(async ({ key, source, backup }: PlannedImage) => {
      const { pod } = plan;
      const request = {
        source,
        backup,
        pod,
        namespace,
        isInteractive,
        dryRun,
        budgetMs,
        ...(plan.isImpatient && { copyWaitMs: controllerCopyWaitMs }),
        uid,
      };
      outcomes.set(key, await ensureBackup({ ...request, signal: waiting }));
    }),
  );
  if (!isDetached) {
    await all;
    return outcomes;
  }
  all.catch((error: unknown) => logger.error({ uid, err: error }, 'copy behind an answer failed'));
  if (plan.rewrites) await settledWithin(all, Math.min(budgetMs, controllerBudgetMs));
  return new Map(outcomes);
}

/** The cluster is asked only where something will be appended. */
async function withPullSecrets(
  plan: ReviewPlan,
  outcomes: CloneOutcomes,
  secrets: WorkloadSecrets | undefined,
): Promise<ReviewPlan> {
  const isCloned = [...outcomes.values()].some(({ status }) => status === 'ready');
  if (secrets === undefined || !plan.rewrites || !isCloned) return plan;
  return await completePullSecrets(plan, secrets, AbortSignal.timeout(pullSecretsBudgetMs));
}

/** The end of waiting as a reason of ours: whoever asks again finds the copy further on. */
function untilHangUp(signal: AbortSignal): AbortSignal {
  const hungUp = new AbortController();
  const onAbort = (): void => {
    const hangUp = new CloneError('INTERRUPTED', 'the caller did not wait for the answer');
    hungUp.abort(signal.reason instanceof CloneError ? signal.reason : hangUp);
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  return hungUp.signal;
}

/** Resolves when `work` does, or after `ms`; what goes wrong in `work` is its caller's business. */
async function settledWithin(work: Promise<unknown>, ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), ms);
  await Promise.race([work, promise]).finally(() => clearTimeout(timer));
}
