import type { BackupCredentials, CloneOutcome } from '../ports/index.ts';
import { type BackupQuery, type GuardBackup, readNamed } from './backup/index.ts';
import type { EnsureRequest } from './clone-task.ts';

type Ready = Extract<CloneOutcome, { readonly status: 'ready' }>;

/**
 * Uses what the backup holds under the name that the object has; `undefined` if it holds nothing there and a copy may be made.
 * Rejects if the backup does not say.
 */
export type UseNamed = (
  request: EnsureRequest & { readonly backup: BackupQuery['backup'] },
  remainingMs: () => number,
) => Promise<Omit<Ready, 'durationMs'> | undefined>;

export interface UseNamedDeps {
  readonly guardBackup: GuardBackup;
  readonly backupCredentials: BackupCredentials;
}

export function createUseNamed({ guardBackup, backupCredentials }: UseNamedDeps): UseNamed {
  return async (request, remainingMs) => {
    const { backupFirst, backup: image, signal } = request;
    if (backupFirst === undefined) return undefined;
    const credentials = await backupCredentials({ ms: remainingMs(), signal });
    const access = { side: 'backup', credentials } as const;
    const cloner = guardBackup({ ...request, remainingMs });
    const digest = await readNamed({ cloner, backup: image, access, signal }, image);
    if (digest !== undefined) {
      return { status: 'ready', image, digest, result: 'present', bytes: 0, warnings: [] };
    }
    if (backupFirst.forbidden !== undefined) throw backupFirst.forbidden;
    return undefined;
  };
}
