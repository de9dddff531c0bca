import type { ReviewPolicy } from './policy.ts';
import type { Workload } from './workload.ts';

/** Names to append to the pod's `imagePullSecrets`. */
export interface PlannedPullSecrets {
  /** Where an image was cloned now. */
  readonly whenCloned: readonly string[];
  /** Where all is as the stored object has it already. */
  readonly whenCarried: readonly string[];
}

export const noPullSecrets: PlannedPullSecrets = { whenCloned: [], whenCarried: [] };

/** What can be told without asking the cluster: `BACKUP_PULL_SECRET`, unless it is there. */
export function planPullSecrets(
  workload: Workload,
  old: Workload | undefined,
  { backupPullSecret: name }: ReviewPolicy,
): PlannedPullSecrets {
  if (name === undefined || workload.pullSecrets?.includes(name) === true) return noPullSecrets;
  const wasAppended = old?.pullSecrets?.includes(name) === true;
  // Who names none had all of them from us: the ServiceAccount's came along.
  const appended = workload.pullSecrets === undefined ? old?.pullSecrets : [name];
  return { whenCloned: [name], whenCarried: wasAppended ? (appended ?? []) : [] };
}
