import {
  findGeneration,
  findHold,
  type ImmutableTags,
  type PrivateCopies,
  unclearWarning,
} from './backup/index.ts';
import type { CloneTask, UsableBackup } from './clone-task.ts';
import type { CheckedSource } from './source/index.ts';

/**
 * Uses the generation of the source's digest, if there is one and the plain tag is immutable or unclear: another copy would change
 * nothing.
 */
export type UseGeneration = (
  task: CloneTask,
  checked: CheckedSource,
  warnings: readonly string[],
) => Promise<UsableBackup | undefined>;

export interface UseGenerationDeps {
  readonly immutableTags: Pick<ImmutableTags, 'isKnown'>;
  readonly privateCopies: Pick<PrivateCopies, 'admit'>;
}

export function createUseGeneration({
  immutableTags,
  privateCopies,
}: UseGenerationDeps): UseGeneration {
  return async (task, checked, warnings) => {
    const { source, backup, state, query, pod, dryRun } = task;
    const { unclear } = state;
    if (unclear === undefined && !immutableTags.isKnown(backup)) return undefined;
    const digest = await findGeneration(query, checked.digest);
    if (digest === undefined || typeof (await findHold(query)) === 'string') return undefined;
    if (!dryRun) {
      await privateCopies.admit(query, { source, checked, namespace: pod?.namespace }, digest);
    }
    const why = unclear === undefined ? [] : [unclearWarning(source, unclear)];
    return { digest, result: 'present', isPinned: true, warnings: [...warnings, ...why] };
  };
}
