import { CloneError, isFailureOf } from '../../errors.ts';
import { canonicalReference } from '../../image/reference.ts';
import type { ImageCloner, Observer, RegistryAccess } from '../../ports/index.ts';
import type { CircuitBreaker, RateLimits } from '../registry-health/index.ts';
import type { BackupQuery } from './read-backup.ts';

export interface BackupGuardDeps {
  readonly cloner: ImageCloner;
  readonly breaker: CircuitBreaker;
  readonly limits: RateLimits;
  readonly observer: Pick<Observer, 'backupAnswered'>;
}

interface GuardedTask extends Pick<BackupQuery, 'backup'> {
  readonly isInteractive?: boolean;
  readonly remainingMs: () => number;
}

/**
 * Makes the cloner of one task: lookups in the backup end with the task's budget, a backup that is down or rate-limited is not
 * called, and each response updates the metric `backup_up`.
 */
export type GuardBackup = (task: GuardedTask) => ImageCloner;

export function createGuardBackup(deps: BackupGuardDeps): GuardBackup {
  const { cloner, breaker, limits, observer } = deps;
  const { mark, listTags } = cloner;

  return ({ backup, isInteractive = true, remainingMs }) => {
    const { domain } = backup;
    const image = canonicalReference(backup);

    async function call<Answer>(
      access: RegistryAccess,
      signal: AbortSignal,
      work: (signal: AbortSignal) => Promise<Answer>,
    ): Promise<Answer> {
      const timeoutMs = remainingMs();
      const request = { side: 'backup', domain, image, isInteractive, timeoutMs, signal } as const;
      const timeoutError = (): CloneError =>
        new CloneError(
          'BACKUP_UNAVAILABLE',
          `the backup registry ${domain} did not answer in time`,
        );
      try {
        const answer = await breaker.call({ ...request, timeoutError }, (within) =>
          limits.call({ domain, access, timeoutMs, signal: within }, () => work(within)),
        );
        observer.backupAnswered(true);
        return answer;
      } catch (failure) {
        if (isFailureOf('backup', failure)) observer.backupAnswered(false);
        throw failure;
      }
    }

    return {
      ...cloner,
      resolve: (reference, access, signal, options) =>
        access.side === 'source'
          ? cloner.resolve(reference, access, signal, options)
          : call(access, signal, (within) => cloner.resolve(reference, access, within, options)),
      ...(mark !== undefined && {
        mark: (target, tags, access, signal) =>
          call(access, signal, (within) => mark(target, tags, access, within)),
      }),
      ...(listTags !== undefined && {
        listTags: (target, access, signal) =>
          call(access, signal, (within) => listTags(target, access, within)),
      }),
    };
  };
}
