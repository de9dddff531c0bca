import { assertMovable, findHold, holdWarning } from './backup/index.ts';
import type { CloneTask, UsableBackup } from './clone-task.ts';
import type { CheckedSource } from './source/index.ts';

export interface DryRunOptions {
  /** Whether the backup holds the source's digest. */
  readonly isCurrent: boolean;
  readonly keepsDigest: boolean;
  readonly adoptExisting: boolean;
  readonly warnings: readonly string[];
}

/** What the real write would use or copy. Reads the backup and writes nothing. */
export async function previewCopy(
  { source, backup, state, query }: CloneTask,
  checked: CheckedSource,
  { isCurrent, keepsDigest, adoptExisting, warnings }: DryRunOptions,
): Promise<UsableBackup> {
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
  const known = keepsDigest ? { digest: checked.digest } : {};
  const unsure =
    unclear === undefined ? [] : [`dry run: the copy may be refused: ${unclear.message}`];
  return { ...known, result: 'planned', warnings: [...warnings, ...unsure] };
}
