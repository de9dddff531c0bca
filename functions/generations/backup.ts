import { openRegistryAuth } from '../../lib/adapters/credentials/registry-auth.ts';
import { createLogger } from '../../lib/adapters/log.ts';
import {
  type BackupRegistry,
  openBackupRegistry,
  openCaBundle,
} from '../../lib/adapters/registry/index.ts';
import { toBackupNamespace } from '../../lib/config/backup-registry.ts';
import { type Config, parseConfig } from '../../lib/config/config.ts';
import { CloneError } from '../../lib/errors.ts';
import {
  type BackupLocation,
  backupReference,
  isBackup,
  parseReference,
  type Reference,
} from '../../lib/index.ts';
import { withoutListener } from '../shared/environment.ts';
import { isInsideCluster, readProxy } from '../shared/open-adapters.ts';

/** The user's own registry, as the webhook is configured to use it. */
export interface Backup {
  readonly config: Config;
  readonly location: BackupLocation;
  readonly registry: BackupRegistry;
}

/**
 * Opens the backup with the webhook's own variables. It is spoken to directly, also with `CLONER=docker`: a docker daemon can neither list
 * tags nor move one, and whoever looks after the backup need not have one.
 */
export async function openBackup(env: NodeJS.ProcessEnv): Promise<Backup> {
  const config = parseConfig(withoutListener(env));
  const logger = createLogger({
    level: 'warn',
    format: 'pretty',
    write: (line) => process.stderr.write(line),
  });
  const dir = config.registryAuthDir;
  const read = await openRegistryAuth({ dir, registry: config.backup, logger });
  const credentials = await read();
  const { domain } = config.backup;
  const namespace = toBackupNamespace(config.backup, credentials.username);
  const file = config.registryCaFile;
  const registry = openBackupRegistry(
    {
      configuredHosts: [domain],
      insecureRegistries: config.insecureRegistries,
      trust: file === undefined ? undefined : await openCaBundle({ file, logger }),
      maxImageBytes: undefined,
      insideCluster: isInsideCluster(env),
      proxy: readProxy(env),
      onResponse: () => undefined,
    },
    { side: 'backup', credentials },
  );
  return { config, location: { domain, namespace, naming: config.naming }, registry };
}

/** The tag of the backup that a person means: by its source, as in a manifest, or by its name in the backup, as in the cluster. */
export function toBackupTag(
  text: string,
  location: BackupLocation,
): Reference & { readonly tag: string } {
  const image = parseReference(text);
  if (image.digest !== undefined) {
    throw new CloneError(
      'INVALID_REFERENCE',
      `${text} is pinned to a digest, which never moves; name a tag, such as nginx:1.27`,
    );
  }
  const { domain, path, tag } = isBackup(image, location)
    ? image
    : backupReference(image, location);
  return { domain, path, tag: tag ?? 'latest' };
}
