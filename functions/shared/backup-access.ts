import { openRegistryAuth } from '../../lib/adapters/credentials/registry-auth.ts';
import { createLogger } from '../../lib/adapters/log.ts';
import { toBackupNamespace } from '../../lib/config/backup-registry.ts';
import type { BackupLocation, Config, Credentials, Logger } from '../../lib/index.ts';

/** A command prints its results to standard output, and its log to standard error. */
export function createCommandLogger(level: Config['logLevel']): Logger {
  return createLogger({ level, format: 'pretty', write: (line) => process.stderr.write(line) });
}

export async function readBackupCredentials(
  { backup, registryAuthDir }: Config,
  logger: Logger,
): Promise<Credentials> {
  const read = await openRegistryAuth({ dir: registryAuthDir, registry: backup, logger });
  return await read();
}

/** @param username of the backup's credentials; a part of the location if no namespace is set */
export function toBackupLocation({ backup, naming }: Config, username: string): BackupLocation {
  return { domain: backup.domain, namespace: toBackupNamespace(backup, username), naming };
}
