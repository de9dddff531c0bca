import type { BackupRegistry } from '../../lib/adapters/registry/index.ts';
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
  createCommandLogger,
  openBackupAccess,
  toBackupLocation,
} from '../shared/adapters/backup-access.ts';
import { openLogins } from '../shared/adapters/personal-logins.ts';
import {
  type Env,
  isInsideCluster,
  omitListenerVariables,
  readProxies,
} from '../shared/settings/environment.ts';

/** The backup registry, with the configuration of the webhook. */
export interface Backup {
  readonly config: Config;
  readonly location: BackupLocation;
  readonly registry: BackupRegistry;
}

/** Connects to the registry also with `CLONER=docker`: a docker daemon can neither list tags nor move one. */
export async function openBackup(env: Env): Promise<Backup> {
  const config = parseConfig(omitListenerVariables(env));
  const logger = createCommandLogger('warn');
  const access = await openBackupAccess({ config, env, logger, logins: await openLogins(env) });
  const credentials = await access.credentials();
  const { openBackupRegistry, openCaBundle } = await import('../../lib/adapters/registry/index.ts');
  const file = config.registryCaFile;
  const registry = openBackupRegistry(
    {
      configuredHosts: [config.backup.domain],
      insecureRegistries: config.insecureRegistries,
      trust: file === undefined ? undefined : await openCaBundle({ file, logger }),
      insideCluster: isInsideCluster(env),
      proxy: readProxies(env),
    },
    { side: 'backup', credentials },
  );
  return { config, location: toBackupLocation(config, access.username), registry };
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
