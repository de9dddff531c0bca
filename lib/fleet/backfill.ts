import { type CloneOutcomes, completeReview } from '../admission/answer/index.ts';
import { backfillAnnotation } from '../admission/decide-image.ts';
import type { ReviewPlan } from '../admission/plan.ts';
import type { ReviewPolicy } from '../admission/policy.ts';
import { formatReference } from '../image/reference.ts';
import type { CloneOutcome, StoredWorkload, WorkloadStore } from '../ports/index.ts';
import { mapConcurrently } from '../util/semaphore.ts';
import { type ApplyResult, fail, gone, untouched } from './apply-to-each.ts';
import { type AskOnceDeps, createAskOnce, type Question } from './ask-once.ts';
import { type Assessment, assess, isRewritable } from './assess.ts';
import { type FollowRolloutDeps, followRollout } from './await-rollout.ts';
import { withOriginals } from './originals.ts';
import type { RateLimiter } from './rate-limiter.ts';
import { type Report, reportEach, toReportRows } from './report.ts';
import { createUncalledWebhook, failNotCalled } from './uncalled-webhook.ts';

export interface BackfillDeps extends FollowRolloutDeps, AskOnceDeps {
  readonly store: Pick<WorkloadStore, 'read' | 'patch'>;
  readonly policy: ReviewPolicy;
  readonly rateLimiter: RateLimiter;
  /** Returns a value that the annotation never had. */
  readonly newAnnotationValue: () => string;
  /** Whether images that are backed up already are copied again if their tags moved. */
  readonly refresh: boolean;
}

interface ReportOptions {
  readonly signal: AbortSignal;
  /** Receives how many images were checked. */
  readonly onStep: (checked: number, total: number) => void;
}

export interface Backfill {
  /** Changes neither the objects nor the backup. Contains what is known when the signal fires or the backup is down. */
  report(storedWorkloads: readonly StoredWorkload[], options: ReportOptions): Promise<Report>;
  /** Copies the images and has the webhook rewrite the object. Rejects with the signal's reason, or if the API server does not answer. */
  apply(stored: StoredWorkload, signal: AbortSignal): Promise<ApplyResult>;
}

/** Each image costs a few requests to two registries. */
const maxConcurrentQuestions = 16;

/**
 * Moves existing workloads into the backup: copies their images, then writes an annotation that makes the webhook rewrite the
 * object. So no write waits for a copy, and no other field changes its owner.
 */
export function createBackfill(deps: BackfillDeps): Backfill {
  const { store, policy, rateLimiter, refresh, onProgress } = deps;
  const uncalled = createUncalledWebhook();
  const askOnce = createAskOnce(deps);

  /** Assesses the object and, with `refresh`, the object with its original images. */
  function assessBoth(stored: StoredWorkload): readonly [Assessment, Assessment?] {
    const value = deps.newAnnotationValue();
    const current = assess(stored, policy, value);
    if (!refresh || current.skipped !== undefined) return [current];
    return [current, assess(withOriginals(stored, policy.backup), policy, value)];
  }

  async function report(
    storedWorkloads: readonly StoredWorkload[],
    { signal, onStep }: ReportOptions,
  ): Promise<Report> {
    const assessed = new Map<StoredWorkload, readonly [Assessment, Assessment?]>();
    const broken = reportEach(storedWorkloads, (stored) => {
      assessed.set(stored, assessBoth(stored));
      return [];
    });
    const questions = [...assessed.values()].flatMap(([current, original = current]) =>
      current.skipped === undefined ? toQuestions(original.plan, { dryRun: true, signal }) : [],
    );
    const distinct = [
      ...new Map(questions.map((question) => [askOnce.keyOf(question), question])).values(),
    ];
    const outcomes = new Map<string, CloneOutcome>();
    let checked = 0;
    await mapConcurrently(distinct, maxConcurrentQuestions, async (question) => {
      if (signal.aborted) return;
      const outcome = await askOnce.ask(question);
      if (outcome === undefined || outcome.status === 'pending') return;
      if (outcome.status === 'failed' && askOnce.isOutage(outcome.error)) return;
      outcomes.set(askOnce.keyOf(question), outcome);
      checked += 1;
      onStep(checked, distinct.length);
    });
    const rows = [...assessed.values()].flatMap(([current, original]) => {
      const { plan } = original ?? current;
      const known = toQuestions(plan, { dryRun: true, signal }).flatMap((question) => {
        const outcome = outcomes.get(askOnce.keyOf(question));
        return outcome === undefined ? [] : [[question.key, outcome] as const];
      });
      return toReportRows(current, original, new Map(known));
    });
    const left = `${distinct.length - checked} of ${distinct.length} images were not checked`;
    return {
      rows: [...rows, ...broken],
      problems: [
        ...askOnce.outages(),
        ...(checked < distinct.length ? [`${left}: run again`] : []),
      ],
    };
  }

  async function apply(listed: StoredWorkload, signal: AbortSignal): Promise<ApplyResult> {
    // A long run reaches an object long after it was listed.
    const stored = await store.read(listed, signal);
    if (stored === undefined) return gone;
    const [current, original = current] = assessBoth(stored);
    const { plan } = original;
    if (current.skipped !== undefined || (plan.images.length === 0 && plan.refusals.length === 0)) {
      return untouched;
    }
    if (isRewritable(current) && uncalled.isKnown(stored)) return failNotCalled(stored);

    const outcomes = await ensureAll(plan, signal);
    signal.throwIfAborted();
    const outage = askOnce.outage();
    if (outage !== undefined) return { state: 'failed', problem: outage, stopsRun: true };
    const { response } = completeReview(plan, outcomes);
    if (!response.allowed) return fail(response.status?.message ?? 'refused');
    const warnings = response.warnings ?? [];
    if (isRewritable(current)) return await annotate(stored, signal, warnings);
    const isIncomplete = [...outcomes.values()].some(({ status }) => status === 'failed');
    if (isIncomplete) return fail(warnings.join('; '));
    const notes = [...warnings, ...listStalePins(current, original, outcomes)];
    return { state: 'done', action: 'refreshed', notes };
  }

  /** Waits until the backup has every image of a plan. */
  async function ensureAll(plan: ReviewPlan, signal: AbortSignal): Promise<CloneOutcomes> {
    const outcomes = await Promise.all(
      toQuestions(plan, { dryRun: false, signal }).map(async (question) => {
        const outcome = await askOnce.ask(question);
        return outcome === undefined ? [] : [[question.key, outcome] as const];
      }),
    );
    return new Map(outcomes.flat());
  }

  async function annotate(
    before: StoredWorkload,
    signal: AbortSignal,
    notes: readonly string[],
  ): Promise<ApplyResult> {
    await rateLimiter.wait(signal);
    const value = deps.newAnnotationValue();
    const body = { metadata: { annotations: { [backfillAnnotation]: value } } };
    const result = await store.patch(
      before,
      { type: 'merge', body },
      { signal, onWait: (message) => onProgress(before, message) },
    );
    if (result.status === 'gone') return gone;
    if (result.status === 'refused') return fail(result.message);
    const { stored, warnings } = result;
    if (isRewritable(assess(stored, policy, deps.newAnnotationValue()))) {
      if (warnings.length > 0) return fail(`not rewritten: ${warnings.join('; ')}`);
      uncalled.note(before);
      return failNotCalled(before);
    }
    const allNotes = [...new Set([...notes, ...warnings])];
    const done = { state: 'done', action: 'rewritten', notes: allNotes } as const;
    return await followRollout(deps, { before, written: stored, done, signal });
  }

  return { report, apply };
}

function toQuestions(
  { images, pod, request: { uid, namespace } }: ReviewPlan,
  { dryRun, signal }: Pick<Question, 'dryRun' | 'signal'>,
): readonly (Question & { readonly key: string })[] {
  const request = { pod, dryRun, namespace, signal, uid };
  return images.map(({ key, source, backup }) => ({ key, source, backup, ...request }));
}

/** A note for each place that is pinned to another digest than its tag has now: a refresh does not move it. */
function listStalePins(
  current: Assessment,
  original: Assessment,
  outcomes: CloneOutcomes,
): readonly string[] {
  return current.places.flatMap(({ place, state }, index) => {
    const source = original.places[index];
    if (state !== 'rewritten' || source?.state !== 'rewritable') return [];
    const outcome = outcomes.get(source.image.key);
    if (outcome?.status !== 'ready') return [];
    const image = formatReference(outcome.image);
    return outcome.image.digest === undefined || image === place.image
      ? []
      : [`${place.label}: stays pinned to ${place.image}; the tag is ${image} now`];
  });
}
