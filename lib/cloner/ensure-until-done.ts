import type { CloneOutcome } from '../ports/index.ts';
import type { EnsureBackup } from './ensure-backup.ts';

type EnsureRequest = Parameters<EnsureBackup>[0];

export interface EnsureUntilDoneDeps {
  readonly ensureBackup: EnsureBackup;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** As `EnsureBackup`, for callers without a deadline: it is pending only where the signal ended the waiting. */
export type EnsureUntilDone = (request: Omit<EnsureRequest, 'budgetMs'>) => Promise<CloneOutcome>;

/** How long a registry may take to answer, and how long is waited before the source is asked once more. */
const roundMs = 60_000;
/** Who is told "still copying" without having waited does not ask at once. */
const pauseMs = 1_000;

/** Waits for a copy as long as it takes, where a review would say that it goes on. */
export function createEnsureUntilDone({
  ensureBackup,
  sleep,
}: EnsureUntilDoneDeps): EnsureUntilDone {
  return async (request) => {
    const { signal } = request;
    for (;;) {
      const outcome = await ensureBackup({ ...request, budgetMs: roundMs });
      if (outcome.status !== 'pending' || signal.aborted) return outcome;
      // Aborted meanwhile: the outcome that there is says how far it was.
      await sleep(pauseMs, signal).catch(() => undefined);
      if (signal.aborted) return outcome;
    }
  };
}
