import { CloneError, isFailureOf } from '../../errors.ts';
import { canonicalReference } from '../../image/reference.ts';
import type { ImageCloner, Observer } from '../../ports/index.ts';
import type { CircuitBreaker, RateLimits } from '../registry-health/index.ts';
import type { BackupQuery } from './read-backup.ts';

/** Who asks about which copy, and how long he can wait. */
interface BackupAsker extends Omit<BackupQuery, 'cloner'> {
  readonly isInteractive?: boolean;
  readonly remainingMs: () => number;
}

/** Asks the backup registry within what is left of the budget; one that is down, or limits, is spared. */
export type AskBackup = <Result>(
  asker: BackupAsker,
  ask: (question: BackupQuery) => Promise<Result>,
) => Promise<Result>;

export interface AskBackupDeps {
  readonly cloner: ImageCloner;
  /** Shared with whoever asks the same registries. */
  readonly breaker: CircuitBreaker;
  readonly limits: RateLimits;
  readonly observer: Pick<Observer, 'backupAnswered'>;
}

export function createAskBackup({ cloner, breaker, limits, observer }: AskBackupDeps): AskBackup {
  return async ({ backup, access, isInteractive = true, signal, remainingMs }, ask) => {
    const { domain } = backup;
    const timeoutMs = remainingMs();
    const question = {
      side: 'backup',
      domain,
      image: canonicalReference(backup),
      isInteractive,
      timeoutMs,
      timeoutError: () =>
        new CloneError(
          'BACKUP_UNAVAILABLE',
          `the backup registry ${domain} did not answer in time`,
        ),
      signal,
    } as const;
    try {
      const answer = await breaker.ask(question, (within) =>
        limits.ask({ domain, access, timeoutMs, signal: within }, () =>
          ask({ cloner, backup, access, signal: within }),
        ),
      );
      observer.backupAnswered(true);
      return answer;
    } catch (failure) {
      if (isFailureOf('backup', failure)) observer.backupAnswered(false);
      throw failure;
    }
  };
}
