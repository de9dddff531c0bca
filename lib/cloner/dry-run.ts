import { CloneError } from '../errors.ts';
import { formatReference } from '../image/reference.ts';
import { withDeadline } from '../util/abort.ts';
import { assertMovable, findHold, holdWarning, planCopy } from './backup/index.ts';
import type { CloneTask, UsableBackup } from './clone-task.ts';
import type { CheckedSource } from './source/index.ts';

export interface DryRunOptions {
  /** Whether the backup holds the source's digest. */
  readonly isCurrent: boolean;
  readonly adoptExisting: boolean;
  readonly warnings: readonly string[];
}

/** What the real write would use or copy. Reads the backup and writes nothing. */
export async function previewCopy(
  task: CloneTask,
  checked: CheckedSource,
  { isCurrent, adoptExisting, warnings }: DryRunOptions,
): Promise<UsableBackup> {
  const { source, backup, state, query } = task;
  const { digest } = state;
  if (isCurrent && digest !== undefined) return { digest, result: 'present', warnings };
  if (state.unclear === undefined) assertMovable(backup, state, adoptExisting);
  const mayBeHeld = digest !== undefined && source.digest === undefined;
  const held = mayBeHeld ? await findHold(query) : undefined;
  if (typeof held === 'string') {
    return { digest: held, result: 'present', warnings: [...warnings, holdWarning(source, held)] };
  }
  const unclear = state.unclear ?? held;
  if (unclear?.reason === 'UNAVAILABLE' || unclear?.reason === 'RATE_LIMITED') throw unclear;
  const planned = await planDigest(task, checked);
  const unsure =
    unclear === undefined ? [] : [`dry run: the copy may be refused: ${unclear.message}`];
  return {
    ...(planned !== undefined && { digest: planned }),
    result: 'planned',
    warnings: [...warnings, ...unsure],
  };
}

/** The digest that the copy would have, if the cloner can tell. Throws if it could copy nothing. */
async function planDigest(
  { source, query, signal, remainingMs }: CloneTask,
  checked: CheckedSource,
): Promise<string | undefined> {
  const { domain } = source;
  const error = (): CloneError =>
    new CloneError(
      'SOURCE_UNAVAILABLE',
      `${domain} did not say in time which platforms ${formatReference(source)} has`,
    );
  const within = { ms: remainingMs(), error, signal };
  const plan = await withDeadline(within, (signal) =>
    planCopy({ ...query, signal }, source, checked),
  );
  return plan.digest;
}
