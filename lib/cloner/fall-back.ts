import { CloneError, isFailureOf } from '../errors.ts';
import { formatReference } from '../image/reference.ts';
import type { ImageCloner } from '../ports/index.ts';
import {
  type BackupState,
  findNewerGeneration,
  type IntegrityCheck,
  listTags,
  type PrivateCopies,
  readBackup,
  spellingOf,
} from './backup/index.ts';
import { type CloneTask, toBackgroundQuery, type UsableBackup } from './clone-task.ts';

/** Uses the backup if the source fails with `error`; throws `error`, with the reason added, if the backup must not be used. */
export type FallBack = (task: CloneTask, error: unknown) => Promise<UsableBackup>;

export interface FallBackDeps {
  readonly cloner: ImageCloner;
  readonly privateCopies: Pick<PrivateCopies, 'isServedTo'>;
  readonly integrity: Pick<IntegrityCheck, 'isUsable'>;
}

/** A backup that is up answers within this time. */
const minAnswerMs = 250;
/** Every fall back reads the list, which matters only if tags are immutable or have no case. */
const maxListMs = 1_000;

export function createFallBack({ cloner, privateCopies, integrity }: FallBackDeps): FallBack {
  return async (task, error) => {
    const { source, backup, query, pod } = task;
    if (!(error instanceof CloneError)) throw error;
    const state = await confirmState(task);
    const { digest: held, unclear } = state;
    if (unclear !== undefined) throw bothFailed(unclear, error);
    if (held === undefined) throw error;
    if (!state.isOurs) {
      const { domain, path, tag } = backup;
      const name = formatReference({ domain, path, tag });
      throw withReason(error, `${name} in the backup was not written by image-cloner: not used`);
    }
    const newer = source.digest === undefined ? await findMeaning(task, held, error) : undefined;
    const digest = newer ?? held;
    const namespace = pod?.namespace;
    const isServed = await privateCopies.isServedTo(query, { digest, namespace });
    if (isServed instanceof CloneError) throw bothFailed(isServed, error);
    if (!isServed) {
      const rule = `its backup is private to the namespaces whose own pull secrets opened it, and ${JSON.stringify(namespace)} is not one of them`;
      throw withReason(error, rule);
    }
    const background = toBackgroundQuery(task, cloner);
    if (!(await integrity.isUsable(background, digest, task.remainingMs()))) {
      throw withReason(error, 'its backup is incomplete: the backup registry has lost parts of it');
    }
    const warning = `using the backup of ${formatReference(source)}: ${error.message}`;
    return { digest, result: 'fallback', isPinned: newer !== undefined, warnings: [warning] };
  };
}

/** Without a backup, the object is refused, so an absent tag is confirmed if there is time. */
async function confirmState({
  state,
  query,
  source,
  remainingMs,
}: CloneTask): Promise<BackupState> {
  if (state.isOurs || remainingMs() < minAnswerMs) return state;
  try {
    return await readBackup(query, source, { isFinal: true });
  } catch (error) {
    if (!isFailureOf('backup', error)) throw error;
    return state;
  }
}

/** The digest that the plain tag means, if it holds another one. */
async function findMeaning(
  { backup: { domain, path, tag }, query, remainingMs }: CloneTask,
  held: string,
  error: CloneError,
): Promise<string | undefined> {
  const names = await listTags(query, Math.min(maxListMs, remainingMs() / 2));
  if (spellingOf(names, tag) === 'own') return await findNewerGeneration(query, held, names);
  const name = formatReference({ domain, path, tag });
  throw withReason(error, `${name} in the backup may be a tag that differs only in case: not used`);
}

/** Has the code of the backup's failure, because the backup may have a copy that it does not show. */
function bothFailed(backupError: CloneError, { message }: CloneError): CloneError {
  const { code, retryAfterMs, isTransient } = backupError;
  return new CloneError(code, `${backupError.message}; and ${message}`, {
    cause: backupError,
    retryAfterMs,
    isTransient,
  });
}

function withReason(error: CloneError, reason: string): CloneError {
  return new CloneError(error.code, `${error.message}; ${reason}`, { cause: error });
}
