import * as v from 'valibot';
import { ConfigError } from '../errors.ts';
import type { Naming } from '../image/backup-name.ts';
import type { ImagePattern } from '../image/pattern.ts';
import type { BackupRegistry } from './backup-registry.ts';
import { findTlsProblems, type TlsSettings } from './conflicts.ts';
import { findUnknownVariables } from './unknown-variables.ts';
import {
  clusterId,
  dockerHost,
  flag,
  hosts,
  imagePatterns,
  namespace,
  objectName,
  oneOf,
  overrides,
  owners,
  registry,
  text,
  wholeNumber,
} from './values.ts';

/** Everything that can be configured, read once from the environment. */
export interface Config {
  readonly backup: BackupRegistry;
  readonly registryAuthDir: string;
  readonly cloner: 'docker' | 'registry';
  readonly dockerHost: string;
  readonly naming: Naming;
  readonly pinDigests: boolean;
  readonly onError: 'deny' | 'admit';
  readonly onDeadline: 'retry' | 'admit';
  /** What namespaces may decide for themselves. */
  readonly namespaceOverrides: readonly ('ON_ERROR' | 'ON_DEADLINE')[];
  readonly maxClones: number;
  readonly maxWaiting: number;
  readonly ignoreImages: readonly ImagePattern[];
  /** Empty: every registry. */
  readonly sourceRegistries: readonly string[];
  readonly sourceAuthFile?: string;
  /** Whether workloads' own pull secrets are read. */
  readonly pullSecrets: boolean;
  readonly backupPullSecret?: string;
  /** `group/Kind` of controllers whose objects are cloned but not rewritten; `*` is every controller. */
  readonly cloneOnlyOwners: readonly string[];
  readonly adoptExisting: boolean;
  /** Generations of a tag that `just prune` keeps. @default all */
  readonly keepGenerations?: number;
  readonly privateToPublic: 'deny' | 'allow';
  /** Tells clusters that share a backup from each other. */
  readonly clusterId?: string;
  /** Registries that are spoken to in plain http, by the registry cloner. */
  readonly insecureRegistries: readonly string[];
  readonly registryCaFile?: string;
  readonly maxImageBytes?: number;
  readonly port: number;
  readonly tls?: TlsSettings;
  readonly logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal';
  readonly logFormat: 'json' | 'pretty';
}

/** One row for each variable; README's table is compared with it by a test. */
const variables = {
  REGISTRY: v.optional(registry, ''),
  REGISTRY_NAMESPACE: v.optional(namespace),
  REGISTRY_AUTH_DIR: v.optional(text, '/auth'),
  CLONER: v.optional(oneOf(['docker', 'registry']), 'docker'),
  DOCKER_HOST: v.optional(dockerHost, 'unix:///var/run/docker.sock'),
  NAMING: v.optional(oneOf(['flat', 'nested']), 'flat'),
  PIN_DIGESTS: v.optional(flag, 'false'),
  ON_ERROR: v.optional(oneOf(['deny', 'admit']), 'deny'),
  ON_DEADLINE: v.optional(oneOf(['retry', 'admit']), 'retry'),
  NAMESPACE_OVERRIDES: v.optional(overrides, ''),
  MAX_CLONES: v.optional(wholeNumber(1, 64), '4'),
  MAX_WAITING: v.optional(wholeNumber(1, 10_000), '1000'),
  IGNORE_IMAGES: v.optional(imagePatterns, ''),
  SOURCE_REGISTRIES: v.optional(hosts, ''),
  SOURCE_AUTH_FILE: v.optional(text),
  PULL_SECRETS: v.optional(flag, 'false'),
  BACKUP_PULL_SECRET: v.optional(objectName),
  CLONE_ONLY_OWNERS: v.optional(owners, '*'),
  ADOPT_EXISTING: v.optional(flag, 'false'),
  KEEP_GENERATIONS: v.optional(wholeNumber(1, 1_000_000)),
  PRIVATE_TO_PUBLIC: v.optional(oneOf(['deny', 'allow']), 'deny'),
  CLUSTER_ID: v.optional(clusterId),
  INSECURE_REGISTRIES: v.optional(hosts, ''),
  REGISTRY_CA_FILE: v.optional(text),
  MAX_IMAGE_BYTES: v.optional(wholeNumber(1, Number.MAX_SAFE_INTEGER)),
  PORT: v.optional(wholeNumber(1, 65535), '8080'),
  TLS_CERT_FILE: v.optional(text),
  TLS_PRIVATE_KEY_FILE: v.optional(text),
  TLS_PORT: v.optional(wholeNumber(1, 65535)),
  TLS_CLIENT_CA_FILE: v.optional(text),
  LOG_LEVEL: v.optional(oneOf(['trace', 'debug', 'info', 'warn', 'error', 'fatal']), 'info'),
  LOG_FORMAT: v.optional(oneOf(['json', 'pretty']), 'json'),
};

const schema = v.object(variables);

/** The variables that `parseConfig` reads, in the order of README's table, and what they are when they are not set. */
export const configVariables: readonly { readonly name: string; readonly default?: string }[] =
  Object.entries(variables).map(([name, schema]) => {
    const value = v.getDefault(schema);
    return { name, ...(typeof value === 'string' && { default: value }) };
  });

const names = configVariables.map(({ name }) => name);

/** An environment as far as it could be read. */
export interface ConfigReading {
  /** Where a variable is wrong, its default stands here. */
  readonly config: Config;
  /** One sentence for each thing to mend, misspelt variables included. */
  readonly problems: readonly string[];
  /** Whether these variables are as meant, so that what they name is worth a look. */
  readonly isRight: (...names: readonly (keyof typeof variables)[]) => boolean;
}

/** Environment → configuration, mistakes and all. An empty variable counts as not set. */
export function readConfig(env: Readonly<Record<string, string | undefined>>): ConfigReading {
  const given = Object.fromEntries(
    names.flatMap((name) => {
      const value = env[name];
      return value === undefined || value.trim() === '' ? [] : [[name, value]];
    }),
  );
  const { issues = [] } = v.safeParse(schema, given);
  const wrong = new Set(issues.map((issue) => v.getDotPath(issue)));
  const right = Object.entries(given).filter(([name]) => !wrong.has(name));
  const output = v.parse(schema, Object.fromEntries(right));
  return {
    config: toConfig(output),
    isRight: (...all) => all.every((name) => !wrong.has(name)),
    problems: [
      ...issues.map((issue) => `${v.getDotPath(issue) ?? ''} ${issue.message}`),
      ...findUnknownVariables(env, names),
      ...findTlsProblems(given, output.PORT, output.TLS_PORT),
      ...pullSecretsWithDocker(given),
    ],
  };
}

/** Environment → configuration. Throws one `ConfigError` that lists every problem. */
export function parseConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const { config, problems } = readConfig(env);
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

function toConfig(o: v.InferOutput<typeof schema>): Config {
  return {
    backup: {
      ...o.REGISTRY,
      ...(o.REGISTRY_NAMESPACE !== undefined && { namespace: o.REGISTRY_NAMESPACE }),
    },
    registryAuthDir: o.REGISTRY_AUTH_DIR,
    cloner: o.CLONER,
    dockerHost: o.DOCKER_HOST,
    naming: o.NAMING,
    pinDigests: o.PIN_DIGESTS,
    onError: o.ON_ERROR,
    onDeadline: o.ON_DEADLINE,
    namespaceOverrides: o.NAMESPACE_OVERRIDES,
    maxClones: o.MAX_CLONES,
    maxWaiting: o.MAX_WAITING,
    ignoreImages: o.IGNORE_IMAGES,
    sourceRegistries: o.SOURCE_REGISTRIES,
    ...(o.SOURCE_AUTH_FILE !== undefined && { sourceAuthFile: o.SOURCE_AUTH_FILE }),
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
    port: o.PORT,
    ...(o.TLS_CERT_FILE !== undefined &&
      o.TLS_PRIVATE_KEY_FILE !== undefined && {
        tls: {
          certFile: o.TLS_CERT_FILE,
          keyFile: o.TLS_PRIVATE_KEY_FILE,
          ...(o.TLS_CLIENT_CA_FILE !== undefined && { clientCaFile: o.TLS_CLIENT_CA_FILE }),
          ...(o.TLS_PORT !== undefined && { port: o.TLS_PORT }),
        },
      }),
    logLevel: o.LOG_LEVEL,
    logFormat: o.LOG_FORMAT,
  };
}

/** A docker daemon hands a password to whatever token server a registry names. */
function pullSecretsWithDocker(given: Readonly<Record<string, string>>): readonly string[] {
  const isWanted = given['PULL_SECRETS']?.trim() === 'true';
  return isWanted && given['CLONER']?.trim() !== 'registry'
    ? ['PULL_SECRETS needs CLONER=registry: a docker daemon cannot be trusted with them']
    : [];
}
