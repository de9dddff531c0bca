import { type CloneOutcomes, completeReview } from '../admission/complete.ts';
import { backfillAnnotation } from '../admission/decide-image.ts';
import type { ReviewPolicy } from '../admission/policy.ts';
import type { EnsureUntilDone } from '../cloner/ensure-until-done.ts';
import { canonicalReference, formatReference } from '../image/reference.ts';
import type { CloneOutcome, StoredWorkload, WorkloadStore } from '../ports/index.ts';
import type { StepEnd } from './apply-to-each.ts';
import { type Assessment, assess, isOpen } from './assess.ts';
import { ensureAll } from './ensure-all.ts';
import { type FollowRolloutDeps, followRollout } from './follow-rollout.ts';
import { withOriginals } from './originals.ts';
import type { Pace } from './rate-limiter.ts';
import { type ReportRow, toReportRows } from './report.ts';

export interface BackfillDeps extends FollowRolloutDeps {
  readonly store: Pick<WorkloadStore, 'read' | 'patch'>;
  readonly policy: ReviewPolicy;
  readonly ensure: EnsureUntilDone;
  readonly pace: Pace;
  /** A value that the annotation never had. */
  readonly stamp: () => string;
  /** Whether tags of what is in the backup already are asked for anew. */
  readonly refresh: boolean;
}

export interface Backfill {
  /** Reads only. */
  report(stored: StoredWorkload, signal: AbortSignal): Promise<readonly ReportRow[]>;
  /** Copies, and has the webhook rewrite the object. Rejects where the API server does not answer, and with the signal's reason. */
  apply(stored: StoredWorkload, signal: AbortSignal): Promise<StepEnd>;
}

const untouched: StepEnd = { state: 'untouched' };

/**
 * Moves what runs already. The copies are made first and from here, where a person sees how far they are and no write waits for them;
 * then nothing but an annotation is written, and the webhook does the rewriting: so no field changes hands.
 */
export function createBackfill(deps: BackfillDeps): Backfill {
  const { store, policy, ensure, pace, refresh, tell } = deps;
  /** What the API server turned out not to call the webhook for: to write more annotations there would be of no use. */
  const uncalled = new Set<string>();

  function look(stored: StoredWorkload): { readonly now: Assessment; readonly fresh?: Assessment } {
    const stamp = deps.stamp();
    const now = assess(stored, policy, stamp);
    if (!refresh || now.left !== undefined) return { now };
    return { now, fresh: assess(withOriginals(stored, policy.backup), policy, stamp) };
  }

  /** Hundreds of objects name the same few images, and some registries count questions. */
  const ensureOnce = rememberOutcomes(ensure);

  async function report(
    stored: StoredWorkload,
    signal: AbortSignal,
  ): Promise<readonly ReportRow[]> {
    const { now, fresh } = look(stored);
    const { plan } = fresh ?? now;
    const outcomes =
      now.left === undefined
        ? await ensureAll(plan, ensureOnce, { dryRun: true, signal })
        : new Map<string, CloneOutcome>();
    return toReportRows(now, fresh, outcomes);
  }

  async function apply(listed: StoredWorkload, signal: AbortSignal): Promise<StepEnd> {
    // The list may be an hour old.
    const stored = await store.read(listed, signal);
    if (stored === undefined) return untouched;
    const { now, fresh = now } = look(stored);
    const { plan } = fresh;
    if (now.left !== undefined || (plan.images.length === 0 && plan.refusals.length === 0)) {
      return untouched;
    }
    if (isOpen(now) && uncalled.has(keyOf(stored))) return failed(notCalled(stored));

    const outcomes = await ensureAll(plan, ensure, { dryRun: false, signal });
    signal.throwIfAborted();
    const { response } = completeReview(plan, outcomes);
    if (!response.allowed) return failed(response.status?.message ?? 'refused');
    const notes = response.warnings ?? [];
    const isRefused = [...outcomes.values()].some(({ status }) => status === 'failed');
    if (isOpen(now)) return await touch(stored, signal, notes);
    if (isRefused) return failed(notes.join('; '));
    const told = [...notes, ...stalePins(now, fresh, outcomes)];
    return { state: 'done', what: 'asked for anew', notes: told };
  }

  async function touch(
    before: StoredWorkload,
    signal: AbortSignal,
    notes: readonly string[],
  ): Promise<StepEnd> {
    await pace(signal);
    const stamp = deps.stamp();
    const body = { metadata: { annotations: { [backfillAnnotation]: stamp } } };
    const written = await store.patch(
      before,
      { type: 'merge', body },
      { signal, onWait: (message) => tell(before, message) },
    );
    if (written.status === 'gone') return untouched;
    if (written.status === 'refused') return failed(written.message);
    const { stored, warnings } = written;
    // The answer to a write is the object as it was stored.
    if (isOpen(assess(stored, policy, deps.stamp()))) {
      if (warnings.length > 0) return failed(`not rewritten: ${warnings.join('; ')}`);
      uncalled.add(keyOf(before));
      return failed(notCalled(before));
    }
    return await followRollout(deps, {
      before,
      written: stored,
      what: 'rewritten',
      notes: [...new Set([...notes, ...warnings])],
      signal,
    });
  }

  return { report, apply };
}

/** One answer for one image and one set of pull secrets, which is enough for a report. */
function rememberOutcomes(ensure: EnsureUntilDone): EnsureUntilDone {
  const known = new Map<string, Promise<CloneOutcome>>();
  return async (request) => {
    const key = JSON.stringify([canonicalReference(request.source), request.pod]);
    const outcome = known.get(key) ?? ensure(request);
    known.set(key, outcome);
    return await outcome;
  };
}

/** What is pinned does not move with the backup's tag, and nothing else would say so. */
function stalePins(now: Assessment, fresh: Assessment, outcomes: CloneOutcomes): readonly string[] {
  return now.findings.flatMap(({ place, state }, index) => {
    const found = fresh.findings[index];
    if (state !== 'rewritten' || found?.state !== 'wanted') return [];
    const outcome = outcomes.get(found.image.key);
    if (outcome?.status !== 'ready') return [];
    const image = formatReference(outcome.image);
    return outcome.image.digest === undefined || image === place.image
      ? []
      : [`${place.label}: stays pinned to what it has; the tag is ${image} now`];
  });
}

function failed(problem: string): StepEnd {
  return { state: 'failed', problem, endsRun: false };
}

/** What a webhook configuration tells apart. */
function keyOf({ kind, namespace }: StoredWorkload): string {
  return `${namespace} ${kind.workload}`;
}

function notCalled({ kind, namespace }: StoredWorkload): string {
  return `the API server does not call the webhook for ${kind.workload} in ${namespace}: is it registered, and for these WORKLOADS?`;
}
