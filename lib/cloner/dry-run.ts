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
  assertMovable(backup, state, adoptExisting);
  const mayBeHeld = digest !== undefined && source.digest === undefined;
  const held = mayBeHeld ? await findHold(query) : undefined;
  if (held !== undefined) {
    return { digest: held, result: 'present', warnings: [...warnings, holdWarning(source, held)] };
  }
  const known = keepsDigest ? { digest: checked.digest } : {};
  return { ...known, result: 'planned', warnings };
}
