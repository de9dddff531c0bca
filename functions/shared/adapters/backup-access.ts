import type { CloudIdentities } from '../../../lib/adapters/cloud/index.ts';
import {
  identityTokenUser,
  toKeyringRepository,
} from '../../../lib/adapters/credentials/docker-config.ts';
import type { PersonalLogins } from '../../../lib/adapters/credentials/personal-logins.ts';
import {
  hasRegistryAuth,
  openRegistryAuth,
} from '../../../lib/adapters/credentials/registry-auth.ts';
import type { OnStale } from '../../../lib/adapters/file-reloader.ts';
import { createLogger } from '../../../lib/adapters/log.ts';
import { toBackupNamespace } from '../../../lib/config/backup-registry.ts';
import { findAuthProblems, type RegistryAuth } from '../../../lib/config/registry-auth.ts';
import { ConfigError } from '../../../lib/errors.ts';
import { cloudOf } from '../../../lib/image/cloud-registry.ts';
import type { BackupLocation, Config, Logger } from '../../../lib/index.ts';
import type { BackupCredentials } from '../../../lib/ports/index.ts';
import { monotonicClock } from '../../../lib/util/clock.ts';
import { type Env, namesAuthDir, readProxies } from '../settings/environment.ts';

export interface BackupAccess {
  /** `login`: the one of the person who runs a command. */
  readonly auth: RegistryAuth | 'login';
  readonly credentials: BackupCredentials;
  /** A part of the location if no namespace is configured; empty if there is none. */
  readonly username: string;
}

export interface BackupAccessOptions {
  readonly config: Config;
  readonly env: Env;
  readonly logger: Logger;
  /** @default opens them for this backup alone */
  readonly openIdentities?: OpenIdentities;
  readonly onStale?: OnStale;
  /** Of the person who runs a command; used with `REGISTRY_AUTH=auto` if there are no files. */
  readonly logins?: PersonalLogins | undefined;
}

/** Usernames that stand for any token, at Google and Azure. Those of other clouds cannot be a part of an image name. */
const tokenUsers = ['oauth2accesstoken', '00000000-0000-0000-0000-000000000000', identityTokenUser];

export type OpenIdentities = () => Promise<CloudIdentities>;

/** A command prints its results to standard output, and its log to standard error. */
export function createCommandLogger(level: Config['logLevel']): Logger {
  return createLogger({ level, format: 'pretty', write: (line) => process.stderr.write(line) });
}

/** Opens the identities of the clouds once, at their first use. */
export function createOpenIdentities(env: Env, logger: Logger): OpenIdentities {
  let opened: Promise<CloudIdentities> | undefined;
  return () => {
    opened ??= import('../../../lib/adapters/cloud/index.ts').then(({ openCloudIdentities }) =>
      openCloudIdentities({ proxies: readProxies(env), logger, now: monotonicClock.now }),
    );
    return opened;
  };
}

/** Opens what `REGISTRY_AUTH` names. Rejects with a `ConfigError` that lists every problem. */
export async function openBackupAccess(options: BackupAccessOptions): Promise<BackupAccess> {
  const { config, logger, onStale } = options;
  const { backup, registryAuthDir: dir } = config;
  const login = await findLogin(options);
  if (login !== undefined) return login;
  const auth = await resolveAuth(options);
  const problems = findAuthProblems(auth, config);
  if (problems.length > 0) throw new ConfigError(problems);
  switch (auth) {
    case 'none':
      return { auth, username: '', credentials: () => Promise.resolve(undefined) };
    case 'file': {
      const credentials = await openRegistryAuth({ dir, registry: backup, logger, onStale });
      return { auth, credentials, username: (await credentials()).username };
    }
    case 'ecr':
    case 'gar':
    case 'acr': {
      const { openIdentities = createOpenIdentities(options.env, logger) } = options;
      const identities = await openIdentities();
      return { auth, username: '', credentials: identities.backup(backup.domain) };
    }
  }
}

async function findLogin(options: BackupAccessOptions): Promise<BackupAccess | undefined> {
  const { config, logins } = options;
  const { backup, registryAuth, registryAuthDir: dir } = config;
  if (logins === undefined || registryAuth !== 'auto') return undefined;
  if (await hasRegistryAuth(dir)) return undefined;
  const { domain, namespace = '' } = backup;
  const image = toKeyringRepository(backup);
  const found = await logins.find(image).catch((error: unknown) => {
    const problem = error instanceof Error ? error.message : 'it cannot be used';
    throw new ConfigError([`${logins.file} gives no login for ${domain}: ${problem}`]);
  });
  if (found === undefined) return undefined;
  if (namespace === '' && tokenUsers.includes(found.username)) {
    throw new ConfigError([
      `REGISTRY_NAMESPACE must be set: the username ${found.username} stands for any token`,
    ]);
  }
  // A helper that fails later leaves the first answer in use, as a file does.
  const credentials: BackupCredentials = async () =>
    (await logins.find(image).catch(() => undefined)) ?? found;
  return { auth: 'login', username: found.username, credentials };
}

/** A directory that the environment names is read, also if it is empty. */
async function resolveAuth({ config, env, logins }: BackupAccessOptions): Promise<RegistryAuth> {
  const { registryAuth, registryAuthDir: dir, backup } = config;
  if (registryAuth !== 'auto') return registryAuth;
  if (namesAuthDir(env) || (await hasRegistryAuth(dir))) return 'file';
  const cloud = cloudOf(backup.domain);
  if (cloud !== undefined) return cloud;
  if (logins !== undefined) {
    throw new ConfigError([
      `no credentials for the backup registry ${backup.domain}: run "docker login ${backup.domain}", or set REGISTRY_AUTH_DIR to a directory with username and password`,
    ]);
  }
  throw new ConfigError([
    `no credentials for the backup registry ${backup.domain}: mount the Secret registry-auth with username and password at ${dir}, or set REGISTRY_AUTH to ecr, gar, acr or none`,
  ]);
}

/** @param username of the backup's credentials; a part of the location if no namespace is set */
export function toBackupLocation({ backup, naming }: Config, username: string): BackupLocation {
  return { domain: backup.domain, namespace: toBackupNamespace(backup, username), naming };
}
