import { backfillAnnotation } from '../admission/decide-image.ts';
import { originalImagesAnnotation } from '../admission/original-images.ts';
import { escapePointer } from '../admission/patch.ts';
import type { Workload } from '../admission/workload.ts';
import type { BackupLocation } from '../image/backup-name.ts';
import type { StoredWorkload, WorkloadStore } from '../ports/index.ts';
import type { StepEnd } from './apply-to-each.ts';
import { type FollowRolloutDeps, followRollout } from './follow-rollout.ts';
import { findManagedFields } from './managed-fields.ts';
import { toOptOut } from './opt-out.ts';
import { findHeldPlaces, type HeldPlace, readWorkload } from './originals.ts';
import type { Pace } from './rate-limiter.ts';
import type { ReportRow } from './report.ts';
import { formatWorkload } from './stored-workload.ts';

export interface RestoreDeps extends FollowRolloutDeps {
  readonly store: Pick<WorkloadStore, 'read' | 'patch'>;
  readonly backup: BackupLocation;
  /** Appended by the webhook, if it was configured so. */
  readonly backupPullSecret?: string;
  /** In whose name the store writes. */
  readonly fieldManager: string;
  /** Whether the webhook is asked about pods by themselves. @default false */
  readonly arePodsReviewed?: boolean;
  readonly pace: Pace;
}

export interface Restore {
  /** Reads nothing but the object that it is given. */
  report(stored: StoredWorkload): readonly ReportRow[];
  /** Puts the originals back. Rejects where the API server does not answer, and with the signal's reason. */
  apply(stored: StoredWorkload, signal: AbortSignal): Promise<StepEnd>;
}

/** What is to be done to one object. */
interface RestorePlan {
  readonly held: readonly HeldPlace[];
  readonly left?: string;
  /** The webhook has left its annotation. */
  readonly isRewritten: boolean;
  /** RFC 6902; empty where there is nothing to put back. */
  readonly operations: readonly object[];
}

/**
 * Takes image-cloner out of workloads: their own images again, and in the same write the label that keeps the webhook from
 * rewriting them once more. It needs neither webhook nor registry.
 */
export function createRestore(deps: RestoreDeps): Restore {
  const { store, pace, tell, fieldManager } = deps;

  function report(stored: StoredWorkload): readonly ReportRow[] {
    const { held, left } = plan(stored);
    return held.map(({ place, original }) => ({
      namespace: stored.namespace,
      object: formatWorkload(stored),
      container: place.label.replace(/^container "(.*)"$/, '$1'),
      image: place.image,
      what:
        left !== undefined
          ? `left: ${left}`
          : original === undefined
            ? 'left: no original is known'
            : `would be ${original}`,
    }));
  }

  async function apply(listed: StoredWorkload, signal: AbortSignal): Promise<StepEnd> {
    // The list may be an hour old.
    const stored = await store.read(listed, signal);
    if (stored === undefined) return { state: 'untouched' };
    const { held, left, operations, isRewritten } = plan(stored);
    const onWait = (message: string): void => tell(stored, message);
    if (held.length === 0 || left !== undefined) {
      // Of an earlier run that was interrupted between its two writes.
      await handBack(stored, signal, onWait);
      return { state: 'untouched' };
    }
    const unknown = held.filter(({ original }) => original === undefined);
    const notes = unknown.map(
      ({ place }) => `${place.label}: ${place.image} stays, no original is known`,
    );
    if (operations.length === 0) {
      // Somebody may have written the copy's name himself.
      if (!isRewritten) return { state: 'untouched' };
      return { state: 'failed', problem: notes.join('; '), endsRun: false };
    }
    await pace(signal);
    const patch = { type: 'json', body: operations } as const;
    const written = await store.patch(stored, patch, { signal, onWait });
    if (written.status === 'gone') return { state: 'untouched' };
    if (written.status === 'refused') {
      return { state: 'failed', problem: written.message, endsRun: false };
    }
    await handBack(written.stored, signal, onWait);
    return await followRollout(deps, {
      before: stored,
      written: written.stored,
      what: 'restored',
      notes: [...notes, ...written.warnings],
      signal,
    });
  }

  function plan(stored: StoredWorkload): RestorePlan {
    const workload = readWorkload(stored);
    const held = findHeldPlaces(workload, deps.backup);
    const left = whyLeft(stored, workload);
    const isRewritten = workload.annotations.has(originalImagesAnnotation);
    if (left !== undefined) return { held, left, isRewritten, operations: [] };
    const operations = toOperations(workload, held, deps.backupPullSecret);
    if (operations.length === 0) return { held, isRewritten, operations };
    const optOuts = toTemplates(stored, workload).map((at) => toOptOut(stored.object, at));
    return { held, isRewritten, operations: [...operations, ...optOuts] };
  }

  /** The object, and what it makes that the webhook would be asked about by itself. */
  function toTemplates({ kind }: StoredWorkload, { podSpec }: Workload): readonly string[] {
    return [
      '',
      ...(kind.kind === 'CronJob' ? ['/spec/jobTemplate'] : []),
      ...(deps.arePodsReviewed === true ? [podSpec.replace(/\/spec$/, '')] : []),
    ];
  }

  /**
   * Who changes a field owns it, and whoever applies it with another value then meets a conflict. So our entry is removed again:
   * what is nobody's is taken without a question by the next who applies it.
   */
  async function handBack(
    stored: StoredWorkload,
    signal: AbortSignal,
    onWait: (message: string) => void,
  ): Promise<void> {
    const index = findManagedFields(stored, fieldManager);
    if (index === undefined) return;
    const path = `/metadata/managedFields/${index}`;
    const body = [
      { op: 'test', path: `${path}/manager`, value: fieldManager },
      { op: 'remove', path },
    ];
    // Where it does not succeed there is a conflict later, which says all that is to be said.
    await store.patch(stored, { type: 'json', body }, { signal, onWait });
  }

  return { report, apply };
}

function whyLeft({ kind }: StoredWorkload, { controller }: Workload): string | undefined {
  if (controller !== undefined) return `${controller.kind} controls it`;
  if (kind.kind === 'Job') return "a Job's template cannot be changed";
  return kind.kind === 'Pod' ? 'a pod that runs is not changed' : undefined;
}

/** Every change is guarded by a test of what was read. */
function toOperations(
  workload: Workload,
  held: readonly HeldPlace[],
  backupPullSecret: string | undefined,
): readonly object[] {
  const images = held.flatMap(({ place, original }) =>
    original === undefined
      ? []
      : [
          { op: 'test', path: place.pointer, value: place.image },
          { op: 'replace', path: place.pointer, value: original },
        ],
  );
  if (images.length === 0) return [];
  const isComplete = held.every(({ original }) => original !== undefined);
  const annotations = [originalImagesAnnotation, backfillAnnotation].filter((key) =>
    workload.annotations.has(key),
  );
  return [
    ...images,
    ...(isComplete ? toPullSecretOperations(workload, backupPullSecret) : []),
    ...annotations.map((key) => ({
      op: 'remove',
      path: `/metadata/annotations/${escapePointer(key)}`,
    })),
  ];
}

/** Without an entry left, the field goes too: then the ServiceAccount's secrets are in force again. */
function toPullSecretOperations(
  { podSpec, pullSecrets = [] }: Workload,
  name: string | undefined,
): readonly object[] {
  const index = name === undefined ? -1 : pullSecrets.indexOf(name);
  if (index < 0) return [];
  const list = `${podSpec}/imagePullSecrets`;
  const path = pullSecrets.length === 1 ? list : `${list}/${index}`;
  return [
    { op: 'test', path: `${list}/${index}/name`, value: name },
    { op: 'remove', path },
  ];
}
