import type { CloneOutcome } from '../ports/index.ts';
import { holdWarning, isPassable, markBackup, unfinishedWarning } from './backup/index.ts';
import { type CloneTask, waitFor } from './clone-task.ts';
import type { Found } from './found.ts';
import { describeProgress } from './queue/index.ts';
import type { StartCopy } from './start-copy.ts';

/** Uses what a person holds, whatever the source has by now. */
export type UseHeld = (
  task: CloneTask,
  held: string,
  warnings: readonly string[],
) => Promise<Found | CloneOutcome>;

export function createUseHeld(start: StartCopy): UseHeld {
  return async (task, held, warnings) => {
    const { source, backup, state, dryRun } = task;
    const { digest } = state;
    const found = {
      result: 'present',
      warnings: [...warnings, holdWarning(source, held)],
    } as const;
    if (held === digest || dryRun) return { ...found, digest: held };
    try {
      // The rollback was interrupted before the tag moved: it is finished here.
      const copy = start(task, held, 'hold', (write) => markBackup(write, held, [backup.tag]));
      const moved = await waitFor(copy, task);
      if (moved === undefined) return { status: 'pending', ...describeProgress(copy) };
      return { ...found, digest: held };
    } catch (error) {
      if (digest === undefined || !isPassable(error)) throw error;
      return { ...found, digest, warnings: [...warnings, unfinishedWarning(source, held)] };
    }
  };
}
