import { CloneError } from '../errors.ts';
import { formatReference } from '../image/reference.ts';
import type { ImageCloner } from '../ports/index.ts';
import type { IntegrityCheck, PrivateCopies } from './backup/index.ts';
import { type CloneTask, toBackgroundQuery, type UsableBackup } from './clone-task.ts';

/** Uses the backup if the source fails with `error`; throws `error`, with the reason added, if the backup must not be used. */
export type FallBack = (task: CloneTask, error: unknown) => Promise<UsableBackup>;

export interface FallBackDeps {
  readonly cloner: ImageCloner;
  readonly privateCopies: Pick<PrivateCopies, 'assertServedTo'>;
  readonly integrity: Pick<IntegrityCheck, 'isUsable'>;
}

export function createFallBack({ cloner, privateCopies, integrity }: FallBackDeps): FallBack {
  return async (task, error) => {
    const { source, backup, state, pod } = task;
    const { digest } = state;
    if (!(error instanceof CloneError) || digest === undefined) throw error;
    if (!state.isOurs) {
      const { domain, path, tag } = backup;
      const name = formatReference({ domain, path, tag });
      throw withReason(error, `${name} in the backup was not written by image-cloner: not used`);
    }
    await privateCopies.assertServedTo(task.query, { digest, namespace: pod?.namespace }, error);
    const query = toBackgroundQuery(task, cloner);
    if (!(await integrity.isUsable(query, digest, task.remainingMs()))) {
      throw withReason(error, 'its backup is incomplete: the backup registry has lost parts of it');
    }
    const warning = `using the backup of ${formatReference(source)}: ${error.message}`;
    return { digest, result: 'fallback', warnings: [warning] };
  };
}

function withReason(error: CloneError, reason: string): CloneError {
  return new CloneError(error.code, `${error.message}; ${reason}`, { cause: error });
}
