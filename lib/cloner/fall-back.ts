import { CloneError } from '../errors.ts';
import { formatReference } from '../image/reference.ts';
import type { ImageCloner } from '../ports/index.ts';
import type { AskBackup, IntegrityCheck, PrivateCopies } from './backup/index.ts';
import { type CloneTask, toQuestion } from './clone-task.ts';
import type { Found } from './found.ts';

/** Uses what the backup holds where the source fails with `error`, or throws that again with what stands against it. */
export type FallBack = (task: CloneTask, error: unknown) => Promise<Found>;

export interface FallBackDeps {
  readonly cloner: ImageCloner;
  readonly askBackup: AskBackup;
  readonly privateCopies: Pick<PrivateCopies, 'assertServedTo'>;
  readonly integrity: Pick<IntegrityCheck, 'isUsable'>;
}

export function createFallBack({
  cloner,
  askBackup,
  privateCopies,
  integrity,
}: FallBackDeps): FallBack {
  return async (task, error) => {
    const { source, backup, state, pod } = task;
    const { digest } = state;
    if (!(error instanceof CloneError) || digest === undefined) throw error;
    if (!state.isOurs) {
      const { domain, path, tag } = backup;
      const name = formatReference({ domain, path, tag });
      throw withObjection(
        error,
        `${name} in the backup was not written by image-cloner and is not used`,
      );
    }
    const fallback = { digest, namespace: pod?.namespace };
    await askBackup(task, (question) => privateCopies.assertServedTo(question, fallback, error));
    const ms = task.remainingMs();
    if (!(await integrity.isUsable(toQuestion(task, cloner), digest, ms))) {
      throw withObjection(
        error,
        'its backup is not whole any more: the backup registry has lost parts of it',
      );
    }
    const warning = `using the backup of ${formatReference(source)}: ${error.message}`;
    return { digest, result: 'fallback', warnings: [warning] };
  };
}

function withObjection(error: CloneError, objection: string): CloneError {
  return new CloneError(error.code, `${error.message}; ${objection}`, { cause: error });
}
