import { type CloneOutcomes, completeReview } from '../admission/answer/index.ts';
import { backfillAnnotation } from '../admission/decide-image.ts';
import type { ReviewPlan } from '../admission/plan.ts';
import type { ReviewPolicy } from '../admission/policy.ts';
import type { EnsureUntilDone } from '../cloner/ensure-until-done.ts';
import { canonicalReference, formatReference } from '../image/reference.ts';
import type { CloneOutcome, StoredWorkload, WorkloadStore } from '../ports/index.ts';
import { type ApplyResult, fail } from './apply-to-each.ts';
import { type Assessment, assess, isRewritable } from './assess.ts';
import { type FollowRolloutDeps, followRollout } from './await-rollout.ts';
import { withOriginals } from './originals.ts';
import type { RateLimiter } from './rate-limiter.ts';
import { type ReportRow, toReportRows } from './report.ts';

export interface BackfillDeps extends FollowRolloutDeps {
  readonly store: Pick<WorkloadStore, 'read' | 'patch'>;
  readonly policy: ReviewPolicy;
  readonly ensure: EnsureUntilDone;
  readonly rateLimiter: RateLimiter;
  /** Returns a value that the annotation never had. */
  readonly newAnnotationValue: () => string;
  /** Whether images that are backed up already are copied again if their tags moved. */
  readonly refresh: boolean;
}

export interface Backfill {
  /** Changes neither the object nor the backup. */
  report(stored: StoredWorkload, signal: AbortSignal): Promise<readonly ReportRow[]>;
  /** Copies the images and has the webhook rewrite the object. Rejects with the signal's reason, or if the API server does not answer. */
  apply(stored: StoredWorkload, signal: AbortSignal): Promise<ApplyResult>;
}

const untouched: ApplyResult = { state: 'untouched' };

/**
 * Moves existing workloads into the backup: copies their images, then writes an annotation that makes the webhook rewrite the
 * object. So no write waits for a copy, and no other field changes its owner.
 */
export function createBackfill(deps: BackfillDeps): Backfill {
  const { store, policy, ensure, rateLimiter, refresh, onProgress } = deps;
  /** Webhook rules that do not match: no further annotation is written there. */
  const unmatched = new Set<string>();
  /** Hundreds of objects name the same few images, and registries limit requests. */
  const ensureOnce = rememberOutcomes(ensure);

  /** Assesses the object and, with `refresh`, the object with its original images. */
  function assessBoth(stored: StoredWorkload): readonly [Assessment, Assessment?] {
    const value = deps.newAnnotationValue();
    const current = assess(stored, policy, value);
    if (!refresh || current.skipped !== undefined) return [current];
    return [current, assess(withOriginals(stored, policy.backup), policy, value)];
  }

  async function report(
    stored: StoredWorkload,
    signal: AbortSignal,
  ): Promise<readonly ReportRow[]> {
    const [current, original] = assessBoth(stored);
    const { plan } = original ?? current;
    const outcomes =
      current.skipped === undefined
        ? await ensureAll(plan, ensureOnce, { dryRun: true, signal })
        : new Map<string, CloneOutcome>();
    return toReportRows(current, original, outcomes);
  }

  async function apply(listed: StoredWorkload, signal: AbortSignal): Promise<ApplyResult> {
    // A long run reaches an object long after it was listed.
    const stored = await store.read(listed, signal);
    if (stored === undefined) return untouched;
    const [current, original = current] = assessBoth(stored);
    const { plan } = original;
    if (current.skipped !== undefined || (plan.images.length === 0 && plan.refusals.length === 0)) {
      return untouched;
    }
    if (isRewritable(current) && unmatched.has(toRuleKey(stored))) return failNotCalled(stored);

    const outcomes = await ensureAll(plan, ensure, { dryRun: false, signal });
    signal.throwIfAborted();
    const { response } = completeReview(plan, outcomes);
    if (!response.allowed) return fail(response.status?.message ?? 'refused');
    const warnings = response.warnings ?? [];
    if (isRewritable(current)) return await annotate(stored, signal, warnings);
    const isIncomplete = [...outcomes.values()].some(({ status }) => status === 'failed');
    if (isIncomplete) return fail(warnings.join('; '));
    const notes = [...warnings, ...listStalePins(current, original, outcomes)];
    return { state: 'done', action: 'refreshed', notes };
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
    if (result.status === 'gone') return untouched;
    if (result.status === 'refused') return fail(result.message);
    const { stored, warnings } = result;
    if (isRewritable(assess(stored, policy, deps.newAnnotationValue()))) {
      if (warnings.length > 0) return fail(`not rewritten: ${warnings.join('; ')}`);
      unmatched.add(toRuleKey(before));
      return failNotCalled(before);
    }
    const allNotes = [...new Set([...notes, ...warnings])];
    const done = { state: 'done', action: 'rewritten', notes: allNotes } as const;
    return await followRollout(deps, { before, written: stored, done, signal });
  }

  return { report, apply };
}

/** Waits until the backup has every image of a plan; with `dryRun`, finds out what would be copied. */
async function ensureAll(
  { images, pod, request: { uid, namespace } }: ReviewPlan,
  ensure: EnsureUntilDone,
  { dryRun, signal }: { readonly dryRun: boolean; readonly signal: AbortSignal },
): Promise<CloneOutcomes> {
  const outcomes = await Promise.all(
    images.map(async ({ key, source, backup }) => {
      return [key, await ensure({ source, backup, pod, dryRun, namespace, signal, uid })] as const;
    }),
  );
  return new Map(outcomes);
}

/** Keeps one outcome for each image and set of pull secrets, which is accurate enough for a report. */
function rememberOutcomes(ensure: EnsureUntilDone): EnsureUntilDone {
  const known = new Map<string, Promise<CloneOutcome>>();
  return async (request) => {
    const key = JSON.stringify([canonicalReference(request.source), request.pod]);
    const outcome = known.get(key) ?? ensure(request);
    known.set(key, outcome);
    return await outcome;
  };
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

/** A webhook configuration matches by namespace and kind. */
function toRuleKey({ kind, namespace }: StoredWorkload): string {
  return `${namespace} ${kind.workload}`;
}

function failNotCalled({ kind, namespace }: StoredWorkload): ApplyResult {
  return fail(
    `the API server does not call the webhook for ${kind.workload} in ${namespace}: check that it is registered and that WORKLOADS has ${kind.workload}`,
  );
}
