import { escapePointer } from '../../admission/answer/index.ts';
import { backfillAnnotation } from '../../admission/decide-image.ts';
import { originalImagesAnnotation } from '../../admission/original-images.ts';
import type { StoredWorkload } from '../../ports/index.ts';
import { type ApplyResult, fail, gone, untouched } from '../apply-to-each.ts';
import { type FollowRolloutDeps, followRollout } from '../await-rollout.ts';
import { reportEach, toReportRow } from '../report.ts';
import { parseStoredObject } from '../stored-workload.ts';
import { createUncalledWebhook, failNotCalled } from '../uncalled-webhook.ts';
import { hasOwnOptOut, restoredAnnotation, toOptInOperations } from './opt-out.ts';
import type { Restore } from './restore.ts';
import { type WritePlannedDeps, writePlanned } from './write-planned.ts';

export interface UndoRestoreDeps extends FollowRolloutDeps, WritePlannedDeps {
  /** Returns a value that the annotation never had. */
  readonly newAnnotationValue: () => string;
}

interface UndoPlan {
  readonly operations: readonly object[];
  readonly staysOptedOut: boolean;
}

const ownOptOut = 'it stays opted out by a label that restore did not add';

/**
 * Reverts `restore`: removes the labels that it added and, in the same write, changes the annotation that makes the webhook rewrite the
 * object again.
 */
export function createUndoRestore(deps: UndoRestoreDeps): Restore {
  const uncalled = createUncalledWebhook();

  async function apply(listed: StoredWorkload, signal: AbortSignal): Promise<ApplyResult> {
    if (uncalled.isKnown(listed)) return failNotCalled(listed);
    const value = deps.newAnnotationValue();
    const write = await writePlanned(deps, listed, (stored) => toPlan(stored, value), signal);
    if (write.status === 'gone') return gone;
    if (write.status === 'refused') return fail(write.problem);
    if (write.status === 'unneeded') return untouched;
    const { before, written, warnings } = write;
    if (write.plan.staysOptedOut) {
      return { state: 'done', action: 'label removed', notes: [...warnings, ownOptOut] };
    }
    if (!parseStoredObject(written).annotations.has(originalImagesAnnotation)) {
      if (warnings.length > 0) return fail(`opted in, but not rewritten: ${warnings.join('; ')}`);
      uncalled.note(before);
      return failNotCalled(before);
    }
    const done = { state: 'done', action: 'rewritten', notes: warnings } as const;
    return await followRollout(deps, { before, written, done, signal });
  }

  return {
    apply,
    report: (storedWorkloads) => ({
      rows: reportEach(storedWorkloads, (stored) => {
        const workload = parseStoredObject(stored);
        const effect = hasOwnOptOut(stored.object, workload)
          ? ({ effect: 'skipped', what: `label would be removed; ${ownOptOut}` } as const)
          : ({ effect: 'change', what: 'would be rewritten by the webhook' } as const);
        return workload.places.map((place) => toReportRow(stored, place, effect));
      }),
      problems: [],
    }),
  };
}

function toPlan(stored: StoredWorkload, annotationValue: string): UndoPlan {
  const workload = parseStoredObject(stored);
  if (!workload.annotations.has(restoredAnnotation)) {
    return { operations: [], staysOptedOut: false };
  }
  const staysOptedOut = hasOwnOptOut(stored.object, workload);
  const path = `/metadata/annotations/${escapePointer(backfillAnnotation)}`;
  const rewrite = staysOptedOut ? [] : [{ op: 'add', path, value: annotationValue }];
  return { operations: [...toOptInOperations(stored, workload), ...rewrite], staysOptedOut };
}
