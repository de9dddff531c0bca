import { originalImagesAnnotation } from '../admission/original-images.ts';
import type { Workload } from '../admission/workload.ts';
import type { BackupLocation } from '../image/backup-name.ts';
import type { StoredWorkload, WorkloadStore } from '../ports/index.ts';
import { type ApplyResult, fail } from './apply-to-each.ts';
import { type FollowRolloutDeps, followRollout } from './await-rollout.ts';
import { type BackupPlace, findBackupPlaces } from './originals.ts';
import type { RateLimiter } from './rate-limiter.ts';
import { type ReportRow, toReportRow } from './report.ts';
import { toOptOutOperation, toReleaseOperations, toRestoreOperations } from './restore-patch.ts';
import { explainImmutable, parseStoredObject } from './stored-workload.ts';

export interface RestoreDeps extends FollowRolloutDeps {
  readonly store: Pick<WorkloadStore, 'read' | 'patch'>;
  readonly backup: BackupLocation;
  /** The pull secret that the webhook appends, if it is configured. */
  readonly backupPullSecret?: string;
  /** The field manager of the store's writes. */
  readonly fieldManager: string;
  /** Whether the webhook reviews pods, so that pod templates are opted out too. @default false */
  readonly arePodsReviewed?: boolean;
  readonly rateLimiter: RateLimiter;
}

export interface Restore {
  /** Makes no request. */
  report(stored: StoredWorkload): readonly ReportRow[];
  /** Puts the originals back. Rejects with the signal's reason, or if the API server does not answer. */
  apply(stored: StoredWorkload, signal: AbortSignal): Promise<ApplyResult>;
}

interface RestorePlan {
  readonly places: readonly BackupPlace[];
  /** Why the object is skipped. */
  readonly skipped: string | undefined;
  /** Whether the object has the annotation of the webhook. */
  readonly isRewritten: boolean;
  /** RFC 6902; empty if nothing can be restored. */
  readonly operations: readonly object[];
}

/**
 * Puts the original images of workloads back and, in the same write, adds the label that keeps the webhook from rewriting them
 * again. It needs neither the webhook nor a registry.
 */
export function createRestore(deps: RestoreDeps): Restore {
  const { store, rateLimiter, onProgress, fieldManager } = deps;

  function report(stored: StoredWorkload): readonly ReportRow[] {
    const { places, skipped } = plan(stored);
    return places.map(({ place, original }) => {
      const reason =
        skipped ?? (original === undefined ? 'its original image is unknown' : undefined);
      const what = reason === undefined ? `would become ${original}` : `skipped: ${reason}`;
      return toReportRow(stored, place, what);
    });
  }

  async function apply(listed: StoredWorkload, signal: AbortSignal): Promise<ApplyResult> {
    // A long run reaches an object long after it was listed.
    const stored = await store.read(listed, signal);
    if (stored === undefined) return { state: 'untouched' };
    const { places, skipped, operations, isRewritten } = plan(stored);
    const onWait = (message: string): void => onProgress(stored, message);
    if (places.length === 0 || skipped !== undefined) {
      // An earlier run may have been interrupted between its two writes.
      await releaseFields(stored, signal, onWait);
      return { state: 'untouched' };
    }
    const notes = places
      .filter(({ original }) => original === undefined)
      .map(({ place }) => `${place.label}: ${place.image} stays: its original image is unknown`);
    if (operations.length === 0) {
      // Without the annotation, a manifest may name the backup itself.
      return isRewritten ? fail(notes.join('; ')) : { state: 'untouched' };
    }
    await rateLimiter.wait(signal);
    const patch = { type: 'json', body: operations } as const;
    const result = await store.patch(stored, patch, { signal, onWait });
    if (result.status === 'gone') return { state: 'untouched' };
    if (result.status === 'refused') return fail(result.message);
    await releaseFields(result.stored, signal, onWait);
    const allNotes = [...notes, ...result.warnings];
    const done = { state: 'done', action: 'restored', notes: allNotes } as const;
    return await followRollout(deps, { before: stored, written: result.stored, done, signal });
  }

  function plan(stored: StoredWorkload): RestorePlan {
    const workload = parseStoredObject(stored);
    const places = findBackupPlaces(workload, deps.backup);
    const skipped = explainImmutable(stored, workload);
    const isRewritten = workload.annotations.has(originalImagesAnnotation);
    const restored =
      skipped === undefined ? toRestoreOperations(workload, places, deps.backupPullSecret) : [];
    const optedOut = restored.length === 0 ? [] : listReviewed(stored, workload);
    const optOuts = optedOut.map((pointer) => toOptOutOperation(stored.object, pointer));
    return { places, skipped, isRewritten, operations: [...restored, ...optOuts] };
  }

  /** Pointers to the object and to the templates in it whose objects the webhook reviews. */
  function listReviewed({ kind }: StoredWorkload, { podSpec }: Workload): readonly string[] {
    return [
      '',
      ...(kind.kind === 'CronJob' ? ['/spec/jobTemplate'] : []),
      ...(deps.arePodsReviewed === true ? [podSpec.replace(/\/spec$/, '')] : []),
    ];
  }

  async function releaseFields(
    stored: StoredWorkload,
    signal: AbortSignal,
    onWait: (message: string) => void,
  ): Promise<void> {
    const body = toReleaseOperations(stored, fieldManager);
    if (body.length === 0) return;
    // If it is refused, a later apply reports the conflict.
    await store.patch(stored, { type: 'json', body }, { signal, onWait });
  }

  return { report, apply };
}
