import { originalImagesAnnotation } from '../../admission/original-images.ts';
import type { Workload } from '../../admission/workload.ts';
import type { StoredWorkload, WorkloadStore } from '../../ports/index.ts';
import { type ApplyResult, fail, gone, untouched } from '../apply-to-each.ts';
import { type FollowRolloutDeps, followRollout } from '../await-rollout.ts';
import { workloadKinds } from '../list-workloads.ts';
import type { RateLimiter } from '../rate-limiter.ts';
import { type Report, type ReportRow, reportEach, toReportRow } from '../report.ts';
import { explainImmutable, parseStoredObject } from '../stored-workload.ts';
import { type CopyPlace, findCopyPlaces } from './copy-places.ts';
import { restoredAnnotation, toOptOutOperations } from './opt-out.ts';
import { toReleaseOperations, toRestoreOperations } from './restore-patch.ts';
import { writePlanned } from './write-planned.ts';

export interface RestoreDeps extends FollowRolloutDeps {
  readonly store: Pick<WorkloadStore, 'read' | 'patch'>;
  /** The pull secret that the webhook appends; it stays if its name is not known. */
  readonly backupPullSecret?: string;
  /** The field manager of the store's writes. */
  readonly fieldManager: string;
  readonly rateLimiter: RateLimiter;
}

export interface Restore {
  /** Makes no request. */
  report(storedWorkloads: readonly StoredWorkload[]): Report;
  /** Puts the originals back. Rejects with the signal's reason, or if the API server does not answer. */
  apply(stored: StoredWorkload, signal: AbortSignal): Promise<ApplyResult>;
}

interface RestorePlan {
  readonly places: readonly CopyPlace[];
  /** Why the object is skipped. */
  readonly skipped: string | undefined;
  readonly operations: readonly object[];
}

/** The annotations of the objects that `restore` visits: the second one is of objects that an interrupted run has written. */
export const restoreAnnotations = [originalImagesAnnotation, restoredAnnotation] as const;

/** A controller of these kinds is restored itself, and the objects that it controls follow. */
const restoredOwners = new Set(workloadKinds.map(({ group, kind }) => `${group}/${kind}`));

/**
 * Puts the original images of workloads back and, in the same write, adds the labels that keep the webhook from rewriting them
 * again. It goes by the annotation alone and needs neither the webhook, nor a registry, nor any setting.
 */
export function createRestore(deps: RestoreDeps): Restore {
  const { store, onProgress, fieldManager } = deps;

  async function apply(listed: StoredWorkload, signal: AbortSignal): Promise<ApplyResult> {
    const write = await writePlanned(deps, listed, plan, signal);
    if (write.status === 'gone') return gone;
    if (write.status === 'refused') return fail(write.problem);
    const { before } = write;
    const problems = write.plan.places.flatMap((each) => ('problem' in each ? explain(each) : []));
    if (write.status === 'unneeded') {
      // An earlier run may have been interrupted between its two writes.
      await releaseFields(before, signal);
      return problems.length === 0 ? untouched : fail(problems.join('; '));
    }
    const { written, warnings: notes } = write;
    await releaseFields(written, signal);
    const done = { state: 'done', action: 'restored', notes } as const;
    const end = await followRollout(deps, { before, written, done, signal });
    if (problems.length === 0 || end.state !== 'done') return end;
    return fail(`restored, but ${problems.join('; ')}`);
  }

  function plan(stored: StoredWorkload): RestorePlan {
    const workload = parseStoredObject(stored);
    const places = isRestoredByOwner(workload) ? [] : findCopyPlaces(workload);
    const skipped = explainImmutable(stored, workload);
    if (skipped !== undefined) return { places: [], skipped, operations: [] };
    const restored = toRestoreOperations(workload, places, deps.backupPullSecret);
    const optOuts = restored.length === 0 ? [] : toOptOutOperations(stored, workload);
    return { places, skipped, operations: [...restored, ...optOuts] };
  }

  /** As long as `restore` owns the fields, a server-side apply of other values reports a conflict. */
  async function releaseFields(stored: StoredWorkload, signal: AbortSignal): Promise<void> {
    const body = toReleaseOperations(stored, fieldManager);
    if (body.length === 0) return;
    const onWait = (message: string): void => onProgress(stored, message);
    // If it is refused, a later apply reports the conflict.
    await store.patch(stored, { type: 'json', body }, { signal, onWait });
  }

  return {
    report: (storedWorkloads) => ({ rows: reportEach(storedWorkloads, toRows), problems: [] }),
    apply,
  };
}

function toRows(stored: StoredWorkload): readonly ReportRow[] {
  const workload = parseStoredObject(stored);
  if (isRestoredByOwner(workload)) return [];
  const skipped = explainImmutable(stored, workload);
  return findCopyPlaces(workload).map((each) => {
    if (skipped !== undefined) {
      return toReportRow(stored, each.place, { effect: 'skipped', what: `skipped: ${skipped}` });
    }
    return 'problem' in each
      ? toReportRow(stored, each.place, { effect: 'problem', what: `stays: ${each.problem}` })
      : toReportRow(stored, each.place, {
          effect: 'change',
          what: `would become ${each.original}`,
        });
  });
}

function isRestoredByOwner({ controller }: Workload): boolean {
  return controller !== undefined && restoredOwners.has(`${controller.group}/${controller.kind}`);
}

function explain({ place, problem }: Extract<CopyPlace, { readonly problem: string }>): string {
  return `${place.label}: ${place.image} stays: ${problem}`;
}
