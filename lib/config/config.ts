import * as v from 'valibot';
import { ConfigError } from '../errors.ts';
import type { Naming } from '../image/backup-name.ts';
import type { Cloud } from '../image/cloud-registry.ts';
import type { ImagePattern } from '../image/pattern.ts';
import type { Platforms } from '../image/platforms.ts';
import type { BackupRegistry } from './backup-registry.ts';
import { findConflicts, toBackupSettings } from './conflicts.ts';
import type { RegistryAuth } from './registry-auth.ts';
import { findUnknownVariables } from './unknown-variables.ts';
import { type Env, pickVariables, toProblems } from './values.ts';
import { configVariables, schema, type Values, variables } from './variables.ts';

/** The whole configuration, read once from the environment. */
export interface Config {
  readonly backup: BackupRegistry;
  /** `auto`: the files if there are any, else the cloud that the host of the backup belongs to. */
  readonly registryAuth: RegistryAuth | 'auto';
  readonly registryAuthDir: string;
  readonly cloner: 'docker' | 'registry';
  readonly dockerHost: string;
  /** The platforms to copy of an index; empty: all. */
  readonly platforms: Platforms;
  readonly naming: Naming;
  readonly pinDigests: boolean;
  readonly onError: 'deny' | 'admit';
  readonly onDeadline: 'retry' | 'admit';
  /** Variables that an annotation of a namespace may override. */
  readonly namespaceOverrides: readonly ('ON_ERROR' | 'ON_DEADLINE')[];
  readonly maxClones: number;
  readonly maxWaiting: number;
  readonly ignoreImages: readonly ImagePattern[];
  /** Registries that images may come from; empty allows every registry. */
  readonly sourceRegistries: readonly string[];
  /** Where the backups were before. */
  readonly formerBackups: readonly { readonly domain: string; readonly namespace?: string }[];
  readonly sourceAuthFile?: string;
  /** Clouds whose identity opens the sources on their registries. */
  readonly sourceCloudAuth: readonly Cloud[];
  /** Whether the pull secrets of workloads open their sources. */
  readonly pullSecrets: boolean;
  readonly backupPullSecret?: string;
  /** `group/Kind` of controllers whose objects are cloned but not rewritten; `*` is every controller. */
  readonly cloneOnlyOwners: readonly string[];
  readonly adoptExisting: boolean;
  /** Generations of a tag that `just prune` keeps. @default all */
  readonly keepGenerations?: number;
  readonly privateToPublic: 'deny' | 'allow';
  /** Distinguishes clusters that share a backup. */
  readonly clusterId?: string;
  /** Registries that the registry cloner reaches over plain http. */
  readonly insecureRegistries: readonly string[];
  readonly registryCaFile?: string;
  readonly maxImageBytes?: number;
  /** Whether a pod writes Kubernetes Events. */
  readonly events: boolean;
  readonly port: number;
  /** Port of the status page on loopback; 0: no page. @default 8081 in a pod, else no page */
  readonly statusPort?: number;
  readonly tls?: {
    readonly certFile: string;
    readonly keyFile: string;
    /** CAs of client certificates; if set, a review without such a certificate is refused. */
    readonly clientCaFile?: string;
    /** Port of HTTPS; `port` then serves the probes over plain http. Absent: `port` serves HTTPS. */
    readonly port?: number;
  };
  /** The certificate that a gateway presents; only its expiry matters. */
  readonly gatewayCertFile?: string;
  readonly logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal';
  readonly logFormat: 'json' | 'pretty';
}

const names = configVariables.map(({ name }) => name);

/** The result of reading an environment, valid or not. */
export interface ConfigReading {
  /** Invalid variables have their defaults here. */
  readonly config: Config;
  /** One sentence for each problem, misspelt variables included. */
  readonly problems: readonly string[];
  /** Whether these variables are valid, so that what they name can be opened. */
  readonly isValid: (...names: readonly (keyof typeof variables)[]) => boolean;
}

/** Reads the configuration and its problems from the environment. An empty variable counts as not set. */
export function readConfig(env: Env): ConfigReading {
  const given = pickVariables(env, variables);
  const { issues = [] } = v.safeParse(schema, given);
  const invalid = new Set(issues.map((issue) => v.getDotPath(issue)));
  const valid = Object.entries(given).filter(([name]) => !invalid.has(name));
  const output = v.parse(schema, Object.fromEntries(valid));
  return {
    config: toConfig(output),
    isValid: (...all) => all.every((name) => !invalid.has(name)),
    problems: [
      ...toProblems(issues),
      ...findUnknownVariables(env, names),
      ...findConflicts(given, output, invalid),
    ],
  };
}

/** Reads the configuration from the environment. Throws one `ConfigError` that lists every problem. */
export function parseConfig(env: Env): Config {
  const { config, problems } = readConfig(env);
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

function toConfig(o: Values): Config {
  return {
    ...toBackupSettings(o),
    registryAuth: o.REGISTRY_AUTH,
    registryAuthDir: o.REGISTRY_AUTH_DIR,
    cloner: o.CLONER,
    dockerHost: o.DOCKER_HOST,
    platforms: o.PLATFORMS,
    pinDigests: o.PIN_DIGESTS,
    onError: o.ON_ERROR,
    onDeadline: o.ON_DEADLINE,
    namespaceOverrides: o.NAMESPACE_OVERRIDES,
    maxClones: o.MAX_CLONES,
    maxWaiting: o.MAX_WAITING,
    ignoreImages: o.IGNORE_IMAGES,
    sourceRegistries: o.SOURCE_REGISTRIES,
    formerBackups: o.FORMER_BACKUPS,
    ...(o.SOURCE_AUTH_FILE !== undefined && { sourceAuthFile: o.SOURCE_AUTH_FILE }),
    sourceCloudAuth: o.SOURCE_CLOUD_AUTH,
    pullSecrets: o.PULL_SECRETS,
    ...(o.BACKUP_PULL_SECRET !== undefined && { backupPullSecret: o.BACKUP_PULL_SECRET }),
    cloneOnlyOwners: o.CLONE_ONLY_OWNERS,
    adoptExisting: o.ADOPT_EXISTING,
    ...(o.KEEP_GENERATIONS !== undefined && { keepGenerations: o.KEEP_GENERATIONS }),
    privateToPublic: o.PRIVATE_TO_PUBLIC,
    ...(o.CLUSTER_ID !== undefined && { clusterId: o.CLUSTER_ID }),
    insecureRegistries: o.INSECURE_REGISTRIES,
    ...(o.REGISTRY_CA_FILE !== undefined && { registryCaFile: o.REGISTRY_CA_FILE }),
    ...(o.MAX_IMAGE_BYTES !== undefined && { maxImageBytes: o.MAX_IMAGE_BYTES }),
    events: o.EVENTS,
    port: o.PORT,
    ...(o.STATUS_PORT !== undefined && { statusPort: o.STATUS_PORT }),
    ...(o.TLS_CERT_FILE !== undefined &&
      o.TLS_PRIVATE_KEY_FILE !== undefined && {
        tls: {
          certFile: o.TLS_CERT_FILE,
          keyFile: o.TLS_PRIVATE_KEY_FILE,
          ...(o.TLS_CLIENT_CA_FILE !== undefined && { clientCaFile: o.TLS_CLIENT_CA_FILE }),
          ...(o.TLS_PORT !== undefined && { port: o.TLS_PORT }),
        },
      }),
    ...(o.GATEWAY_CERT_FILE !== undefined && { gatewayCertFile: o.GATEWAY_CERT_FILE }),
    logLevel: o.LOG_LEVEL,
    logFormat: o.LOG_FORMAT,
  };
}
