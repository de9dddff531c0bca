import { CloneError, isFailureOf } from '../errors.ts';
import { formatReference } from '../image/reference.ts';
import {
  type BackupState,
  type BackupWrite,
  findCopy,
  type GuardBackup,
  type PrivateCopies,
  planCopy,
  type Referrers,
  tagGeneration,
  writeBackup,
} from './backup/index.ts';
import {
  type CloneTask,
  type PendingCopy,
  toReferrersRequest,
  type UsableBackup,
  waitForCopy,
  waitForReferrers,
} from './clone-task.ts';
import { type Copy, type CopyResult, describeProgress, type Find } from './queue/index.ts';
import type { CheckedSource } from './source/index.ts';
import type { StartCopy } from './start-copy.ts';

/** Makes the backup hold a source that exists, under tags of image-cloner. */
export type CopyToBackup = (
  task: CloneTask,
  checked: CheckedSource,
  options: {
    /** The backup holds that digest, and lacks only the generation tag. */
    readonly isCurrent: boolean;
    readonly warnings: readonly string[];
  },
) => Promise<UsableBackup | PendingCopy>;

export interface CopyToBackupDeps {
  readonly startCopy: StartCopy;
  readonly guardBackup: GuardBackup;
  readonly privateCopies: PrivateCopies;
  readonly referrers: Pick<Referrers, 'copyBehind'>;
  readonly now: () => number;
}

/** For a replica that checks whether another one made the copy; the review that waits for it may have ended. */
const findTimeoutMs = 30_000;
/** A backup that is up answers within this time. */
const minAnswerMs = 1_000;

export function createCopyToBackup(deps: CopyToBackupDeps): CopyToBackup {
  const { startCopy, guardBackup, privateCopies, referrers, now } = deps;

  return async (task, checked, { isCurrent, warnings }) => {
    const { source, backup, access, state } = task;
    const opened = { source, checked, namespace: task.pod?.namespace };
    const write = async (write: BackupWrite): Promise<CopyResult> => {
      if (isCurrent && state.digest !== undefined) return await tagGeneration(write, state.digest);
      const plan = await planCopy(write, source, checked);
      await privateCopies.markBeforeCopy(write, opened, plan.digest);
      const copyImage = (): Promise<CopyResult> => writeBackup(write, source, checked, state, plan);
      // Signatures name the digest of the source.
      if (plan.digest !== checked.digest) return await copyImage();
      const request = toReferrersRequest(task, checked);
      return await referrers.copyBehind(request, task.namespace, copyImage);
    };
    const find: Find = (signal) => {
      const endsAt = now() + findTimeoutMs;
      const remainingMs = (): number => Math.max(0, endsAt - now());
      const cloner = guardBackup({ ...task, remainingMs });
      return findCopy({ cloner, backup, access, signal }, source, checked.digest);
    };
    try {
      const purpose = isCurrent ? 'mark' : source.digest === undefined ? 'move' : 'pin';
      const credentialNamespace = checked.openedBy === 'workload' ? task.pod?.namespace : undefined;
      const copy = startCopy(
        { ...task, credentialNamespace },
        checked.digest,
        purpose,
        write,
        find,
      );
      const copied = await waitForCopy(copy, task);
      if (copied === undefined && isSilent(state) && !hasMoved(copy)) throw state.unclear;
      // A namespace that waited for the copy of another one has opened the image too.
      if (copied === undefined || !(await isAdmitted(task, opened, copied.digest))) {
        return { status: 'pending', ...describeProgress(copy) };
      }
      const unsigned =
        copied.referrers === undefined ? [] : await waitForReferrers(copied.referrers, task);
      return {
        digest: copied.digest,
        isPinned: copied.isPinned,
        bytes: copied.bytes,
        result: isCurrent || copied.isElsewhere === true ? 'present' : 'copied',
        warnings: [...warnings, ...copied.warnings, ...unsigned],
      };
    } catch (error) {
      if (!isCurrent || state.digest === undefined || !isUntaggable(error)) throw error;
      const unused = `${formatReference(backup)} was not written by image-cloner: it is not used if the source fails`;
      return { digest: state.digest, result: 'present', warnings: [...warnings, unused] };
    }
  };

  /** `false` if no time was left to request the marks. That is no outage of the backup, and the next review has more time. */
  async function isAdmitted(
    task: CloneTask,
    opened: Parameters<PrivateCopies['admit']>[1],
    digest: string,
  ): Promise<boolean> {
    const hadTime = task.remainingMs() >= minAnswerMs;
    try {
      await privateCopies.admit(task.query, opened, digest);
      return true;
    } catch (error) {
      if (hadTime || !isFailureOf('backup', error, ['UNAVAILABLE'])) throw error;
      return false;
    }
  }
}

/** A backup that does not answer is more likely down than slow, so the review is refused unless the copy makes progress. */
function isSilent(state: BackupState): state is BackupState & { readonly unclear: CloneError } {
  return isFailureOf('backup', state.unclear, ['UNAVAILABLE']);
}

function hasMoved(copy: Copy): boolean {
  const { doneBytes = 0, movedBytes = doneBytes } = copy.progress()?.now ?? {};
  return movedBytes > 0;
}

/** The docker daemon cannot give the image a second tag without changing its digest; the image itself is right. */
function isUntaggable(error: unknown): boolean {
  return error instanceof CloneError && error.code === 'BACKUP_GENERATION_LOST';
}
