import { holdWarning, isPassable, tagGeneration, unfinishedWarning } from './backup/index.ts';
import { type CloneTask, type PendingCopy, type UsableBackup, waitForCopy } from './clone-task.ts';
import { describeProgress } from './queue/index.ts';
import type { StartCopy } from './start-copy.ts';

/** Uses the digest at which a rollback holds the tag, whatever the source has now. */
export type UseRollback = (
  task: CloneTask,
  held: string,
  warnings: readonly string[],
) => Promise<UsableBackup | PendingCopy>;

export function createUseRollback(startCopy: StartCopy): UseRollback {
  return async (task, held, warnings) => {
    const { source, backup, state } = task;
    const { digest } = state;
    const present = {
      result: 'present',
      warnings: [...warnings, holdWarning(source, held)],
    } as const;
    if (held === digest) return { ...present, digest: held };
    try {
      // The rollback was interrupted before the tag moved, so the review finishes it.
      const copy = startCopy(task, held, 'hold', (write) =>
        tagGeneration(write, held, [backup.tag]),
      );
      const moved = await waitForCopy(copy, task);
      if (moved === undefined) return { status: 'pending', ...describeProgress(copy) };
      return { ...present, digest: held };
    } catch (error) {
      if (digest === undefined || !isPassable(error)) throw error;
      return { ...present, digest, warnings: [...warnings, unfinishedWarning(source, held)] };
    }
  };
}
