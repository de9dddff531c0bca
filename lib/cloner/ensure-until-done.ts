import type { CloneOutcome } from '../ports/index.ts';
import type { EnsureRequest } from './clone-task.ts';
import type { EnsureBackup } from './ensure-backup.ts';

export interface EnsureUntilDoneDeps {
  readonly ensureBackup: EnsureBackup;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** `EnsureBackup` without a deadline: the outcome is pending only if the signal ended the wait. */
export type EnsureUntilDone = (request: Omit<EnsureRequest, 'budgetMs'>) => Promise<CloneOutcome>;

/** The budget for registries and the copy, before the source is checked again. */
const roundMs = 60_000;
/** The pause after a round that ended without a wait. */
const pauseMs = 1_000;

/** Waits for a copy without a limit of time, for callers that are not reviews. */
export function createEnsureUntilDone(deps: EnsureUntilDoneDeps): EnsureUntilDone {
  const { ensureBackup, sleep } = deps;
  return async (request) => {
    const { signal } = request;
    for (;;) {
      // The process may end after the answer, and would drop signatures that are copied behind it.
      const outcome = await ensureBackup({
        ...request,
        budgetMs: roundMs,
        referrersWaitMs: roundMs,
      });
      if (outcome.status !== 'pending' || signal.aborted) return outcome;
      await sleep(pauseMs, signal).catch(() => undefined);
      // The last outcome contains the progress of the copy.
      if (signal.aborted) return outcome;
    }
  };
}
