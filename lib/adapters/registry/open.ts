import { ConfigError } from '../../errors.ts';
import type { Platforms } from '../../image/platforms.ts';
import type { Repository } from '../../image/reference.ts';
import type { BackupRepository, RegistryAccess } from '../../ports/index.ts';
import { sleep } from '../../util/clock.ts';
import { listRepositories, openBackupRepository } from './backup-repository.ts';
import { type ClientPoolOptions, createClientPool } from './client/index.ts';
import { createRegistryCloner, type RegistryCloner } from './cloner.ts';
import {
  type CaBundle,
  createFindEndpoint,
  createHttp,
  type Http,
  type HttpOptions,
  type HttpResponse,
  headerOf,
} from './http/index.ts';

export interface RegistrySettings {
  /** Registries, besides the insecure ones, that may have any address. */
  readonly configuredHosts: readonly string[];
  readonly insecureRegistries: readonly string[];
  /** @default the system's certificates */
  readonly trust: CaBundle | undefined;
  readonly maxImageBytes?: number | undefined;
  /** The platforms to copy of an index. @default all */
  readonly platforms?: Platforms | undefined;
  readonly insideCluster: boolean;
  readonly proxy: HttpOptions['proxy'];
  /** Called for each response of a registry; `remaining` is the rest of its rate limit, if it sent one. */
  readonly onResponse?: (response: {
    readonly host: string;
    readonly method: string;
    readonly status: number;
    readonly remaining: number | undefined;
  }) => void;
  readonly onConnect?: HttpOptions['onConnect'];
}

/** Opens the registry adapter. Throws `ConfigError` if the URL of the proxy is invalid. */
export function openRegistryCloner(settings: RegistrySettings): RegistryCloner {
  const { maxImageBytes, platforms } = settings;
  return createRegistryCloner({ ...toConnections(settings), maxImageBytes, platforms });
}

/** The backup registry for generations, rollback, prune and verify. */
export interface BackupRegistry {
  repository(repository: Repository, signal: AbortSignal): Promise<BackupRepository>;
  /** The repositories below a path; empty if the registry has no catalog. */
  repositories(below: Repository, signal: AbortSignal): Promise<readonly Repository[]>;
}

/** Independent of `CLONER`: a docker daemon can neither list tags nor move them. */
export function openBackupRegistry(
  settings: RegistrySettings,
  access: RegistryAccess,
): BackupRegistry {
  const open = createClientPool(toConnections(settings));
  return {
    repository: (repository, signal) => openBackupRepository(open, repository, access, signal),
    repositories: (below, signal) => listRepositories(open, below, access, signal),
  };
}

function toConnections(settings: RegistrySettings): ClientPoolOptions {
  const { trust, insecureRegistries, insideCluster, proxy } = settings;
  const http = openHttp({
    configuredHosts: [...settings.configuredHosts, ...insecureRegistries],
    insecureRegistries,
    insideCluster,
    trust,
    proxy,
    onConnect: settings.onConnect,
  });
  return {
    http,
    findEndpoint: createFindEndpoint({ http, insecureRegistries, insideCluster }),
    sleep,
    onResponse: ({ url, method, status, headers }) =>
      settings.onResponse?.({ host: url.host, method, status, remaining: readRemaining(headers) }),
  };
}

/** Docker Hub's `ratelimit-remaining: 99;w=21600`. */
function readRemaining(headers: HttpResponse['headers']): number | undefined {
  const match = /^(\d{1,9})(;|$)/.exec(headerOf({ headers }, 'ratelimit-remaining') ?? '');
  return match === null ? undefined : Number(match[1]);
}

/** The proxy's URL is the only option from a user, so every error is about it. */
function openHttp(options: HttpOptions): Http {
  try {
    return createHttp(options);
  } catch {
    // No cause: the URL may contain a password.
    throw new ConfigError([
      'HTTPS_PROXY and HTTP_PROXY must be URLs, such as http://proxy.example.com:3128',
    ]);
  }
}
