import { openRegistryAuth } from '../../lib/adapters/credentials/registry-auth.ts';
import { createLogger } from '../../lib/adapters/log.ts';
import type { BackupRegistry } from '../../lib/adapters/registry/index.ts';
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
import {
  type Env,
  isInsideCluster,
  omitListenerVariables,
  readProxies,
} from '../shared/environment.ts';

/** The backup registry, with the configuration of the webhook. */
export interface Backup {
  readonly config: Config;
  readonly location: BackupLocation;
  readonly registry: BackupRegistry;
}

/** Connects to the registry also with `CLONER=docker`: a docker daemon can neither list tags nor move one. */
export async function openBackup(env: Env): Promise<Backup> {
  const config = parseConfig(omitListenerVariables(env));
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
  const { openBackupRegistry, openCaBundle } = await import('../../lib/adapters/registry/index.ts');
  const file = config.registryCaFile;
  const registry = openBackupRegistry(
    {
      configuredHosts: [domain],
      insecureRegistries: config.insecureRegistries,
      trust: file === undefined ? undefined : await openCaBundle({ file, logger }),
      maxImageBytes: undefined,
      insideCluster: isInsideCluster(env),
      proxy: readProxies(env),
      onResponse: () => undefined,
    },
    { side: 'backup', credentials },
  );
  return { config, location: { domain, namespace, naming: config.naming }, registry };
}

/** Accepts an image by the name of its source, as in a manifest, or of its backup, as in the cluster. */
export function toBackupTag(
  text: string,
  location: BackupLocation,
): Reference & { readonly tag: string } {
  const image = parseReference(text);
  if (image.digest !== undefined) {
    throw new CloneError(
      'INVALID_REFERENCE',
      `${text} is pinned to a digest, which never moves: name a tag, such as nginx:1.27`,
    );
  }
  const { domain, path, tag } = isBackup(image, location)
    ? image
    : backupReference(image, location);
  return { domain, path, tag: tag ?? 'latest' };
}

/** The algorithm and 12 hex digits: `just rollback` accepts it. */
export function shortenDigest(digest: string): string {
  return digest.slice(0, digest.indexOf(':') + 13);
}
