import { setTimeout as sleep } from 'node:timers/promises';
import { ConfigError } from '../../errors.ts';
import type { Repository } from '../../image/reference.ts';
import type { BackupRepository, ImageCloner, RegistryAccess } from '../../ports/index.ts';
import { listRepositories, openBackupRepository } from './backup-repository.ts';
import { type ClientPoolOptions, createClientPool } from './client/index.ts';
import { createRegistryCloner } from './cloner.ts';
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
  /** Registries, beside those that are spoken to in plain http, that may be anywhere, private addresses included. */
  readonly configuredHosts: readonly string[];
  readonly insecureRegistries: readonly string[];
  /** See `openCaBundle`; the system's certificates without it. */
  readonly trust: CaBundle | undefined;
  readonly maxImageBytes: number | undefined;
  readonly insideCluster: boolean;
  readonly proxy: HttpOptions['proxy'];
  /** Called for each answer of a registry; `remaining` is what it said is left of its rate limit. */
  readonly onAnswer: (answer: {
    readonly host: string;
    readonly method: string;
    readonly status: number;
    readonly remaining: number | undefined;
  }) => void;
}

/** The registry adapter with its connections. Throws `ConfigError` when the proxy cannot be used. */
export function openRegistryCloner(settings: RegistrySettings): ImageCloner {
  const { maxImageBytes } = settings;
  return createRegistryCloner({
    ...toConnections(settings),
    ...(maxImageBytes !== undefined && { maxImageBytes }),
  });
}

/** The backup registry for those who headOrGet after it. */
export interface BackupRegistry {
  /** One of its repositories. */
  repository(repository: Repository, signal: AbortSignal): Promise<BackupRepository>;
  /** The repositories below a place in it, where it tells. */
  repositories(below: Repository, signal: AbortSignal): Promise<readonly Repository[]>;
}

/** As `openRegistryCloner`, whatever `CLONER` is: a docker daemon neither lists tags nor moves them. */
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
    insideCluster,
    ...(trust !== undefined && { trust }),
    ...(proxy !== undefined && { proxy }),
  });
  return {
    http,
    findEndpoint: createFindEndpoint({ http, insecureRegistries, insideCluster }),
    sleep: (ms, signal) => sleep(ms, undefined, { signal }),
    onAnswer: ({ url, method, status, headers }) =>
      settings.onAnswer({ host: url.host, method, status, remaining: readRemaining(headers) }),
  };
}

/** Docker Hub's `ratelimit-remaining: 99;w=21600`. */
function readRemaining(headers: HttpResponse['headers']): number | undefined {
  const match = /^(\d{1,9})(;|$)/.exec(headerOf({ headers }, 'ratelimit-remaining') ?? '');
  return match === null ? undefined : Number(match[1]);
}

/** Of what can be wrong here, the proxy's address is all that a user writes. */
function openHttp(options: HttpOptions): Http {
  try {
    return createHttp(options);
  } catch {
    // Never a cause: the address may hold a password.
    throw new ConfigError([
      'HTTPS_PROXY and HTTP_PROXY must be addresses, such as http://proxy.example.com:3128',
    ]);
  }
}
