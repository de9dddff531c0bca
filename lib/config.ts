import * as v from 'valibot';
import { CloneError, ConfigError } from './errors.ts';
import type { Naming } from './image/backup.ts';
import { type ImagePattern, parseImagePattern } from './image/pattern.ts';
import { dockerHub, isDomain, isDomainLike, isPath } from './image/reference.ts';
import { findTlsProblems, type TlsSettings } from './tls.ts';

/** The user's registry as configured; the namespace may still have to come from the username. */
export interface BackupRegistry {
  readonly domain: string;
  /** The path of `REGISTRY` below its host, often empty. */
  readonly path: string;
  readonly namespace?: string;
}

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

const maxNamespaceLength = 128;
/** Of 255 for the whole name; what is left is for the image's own. */
const maxLocationLength = 200;

const text = v.pipe(v.string(), v.trim());

const flag = v.pipe(
  text,
  v.picklist(['true', 'false'], 'must be true or false'),
  v.transform((value) => value === 'true'),
);

function oneOf<const Options extends readonly string[]>(
  options: Options,
): v.GenericSchema<string, Options[number]> {
  return v.pipe(text, v.picklist(options, `must be ${options.join(' or ')}`));
}

function wholeNumber(min: number, max: number): v.GenericSchema<string, number> {
  const message = `must be a whole number from ${min} to ${max}`;
  return v.pipe(
    text,
    v.regex(/^\d{1,16}$/, message),
    v.transform(Number),
    v.minValue(min, message),
    v.maxValue(max, message),
  );
}

const list = v.pipe(
  text,
  v.transform((value) => value.split(/[\s,]+/).filter((item) => item !== '')),
);

const registry = v.pipe(
  text,
  v.check(
    (value) => !value.includes('://'),
    'is a host such as registry.example.com, without a scheme',
  ),
  v.transform(splitRegistry),
  v.check(
    ({ domain, path }) => isRegistry(domain) && (path === '' || isPath(path)),
    'is not a registry host, such as registry.example.com:5000',
  ),
);

const namespace = v.pipe(
  text,
  v.check(
    isNamespace,
    'must be a lower-case repository path, such as backups, of at most 128 characters',
  ),
);

function isNamespace(value: string): boolean {
  return isPath(value) && value.length <= maxNamespaceLength;
}

const hosts = v.pipe(
  list,
  v.check(
    (items) => items.every(isRegistry),
    'must list registry hosts, such as docker.io,quay.io',
  ),
  v.transform((items) => items.map(toHubAlias)),
);

const imagePatterns = v.pipe(
  list,
  v.rawTransform<string[], readonly ImagePattern[]>(({ dataset, addIssue, NEVER }) => {
    try {
      return dataset.value.map(parseImagePattern);
    } catch (error) {
      if (!(error instanceof CloneError)) throw error;
      addIssue({ message: `has an entry that cannot be read: ${error.message}` });
      return NEVER;
    }
  }),
);

const overridable = ['ON_ERROR', 'ON_DEADLINE'] as const;

const overrides = v.pipe(
  list,
  v.check(
    (items) => items.every((item) => overridable.some((name) => name === item)),
    'must list ON_ERROR, ON_DEADLINE or both',
  ),
  v.transform((items) => overridable.filter((name) => items.includes(name))),
);

const owners = v.pipe(
  list,
  v.check(
    (items) => items.every((item) => item === '*' || /^[a-z0-9.-]*\/[A-Z][A-Za-z0-9]*$/.test(item)),
    'must be * or a list of group/Kind, such as apps/ReplicaSet,argoproj.io/Rollout',
  ),
);

/**
 * In an image name `registry/x` is a path on Docker Hub: without a dot or a port no host can be told from one.
 * Names have room for ports and addresses that do not exist.
 */
function isRegistry(host: string): boolean {
  return isDomain(host) && isDomainLike(host) && URL.canParse(`https://${host}`);
}

const dockerHost = v.pipe(
  text,
  v.check(
    (value) =>
      /^(unix:\/\/\/.+|tcp:\/\/[^/@?#]+|https?:\/\/[^/@?#]+)$/.test(value) &&
      URL.canParse(value) &&
      // A percent sign in a path is a sign of an escape, also where none was meant.
      !/%(?![0-9a-f]{2})/i.test(value),
    'must be unix:///path/to/docker.sock or tcp://host:port',
  ),
);

const objectName = v.pipe(
  text,
  v.regex(/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/, 'must be the name of a Secret'),
);

const clusterId = v.pipe(
  text,
  v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'must be a name of letters, digits, ., _ and -'),
);

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
      ...misspelt(env),
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

/**
 * Where the copies live. The username of the backup's credentials is the namespace unless one is configured.
 * Throws `ConfigError` when that username cannot be part of an image name (robot accounts, `_json_key`).
 */
export function toBackupNamespace(
  { domain, path, namespace: own }: BackupRegistry,
  username: string,
): string {
  const last = own ?? username;
  if (own === undefined && !isNamespace(last)) {
    throw new ConfigError([
      `REGISTRY_NAMESPACE must be set: the username ${JSON.stringify(username)} cannot be part of an image name`,
    ]);
  }
  const whole = path === '' ? last : `${path}/${last}`;
  if (`${domain}/${whole}`.length > maxLocationLength) {
    throw new ConfigError([
      `REGISTRY and REGISTRY_NAMESPACE must leave room for the names of images: together they have at most ${maxLocationLength} characters`,
    ]);
  }
  return whole;
}

/**
 * The namespace of a registry that runs in the cluster itself (`registry.tools.svc:5000` → `tools`):
 * if it needed us to start, neither would.
 */
export function namespaceOfService(domain: string): string | undefined {
  return /^[^.:]+\.([^.:]+)\.svc(?:[.:]|$)/.exec(domain)?.[1];
}

function splitRegistry(value: string): { domain: string; path: string } {
  const [host = '', ...rest] = value.replace(/\/+$/, '').split('/');
  return { domain: toHubAlias(host), path: rest.join('/') };
}

function toHubAlias(host: string): string {
  return ['', 'docker.io', 'index.docker.io', 'registry-1.docker.io'].includes(host)
    ? dockerHub
    : host;
}

/** A docker daemon hands a password to whatever token server a registry names. */
function pullSecretsWithDocker(given: Readonly<Record<string, string>>): readonly string[] {
  const isWanted = given['PULL_SECRETS']?.trim() === 'true';
  return isWanted && given['CLONER']?.trim() !== 'registry'
    ? ['PULL_SECRETS needs CLONER=registry: a docker daemon cannot be trusted with them']
    : [];
}

/** What is near these belongs to others: a cluster's environment has `CLUSTER_IP` and `CLUSTER_DIR`. */
const commonNames: ReadonlySet<string> = new Set(['CLUSTER_ID']);

/** A misspelt variable would silently be its default, so what looks like one of ours is an error. */
function misspelt(env: Readonly<Record<string, string | undefined>>): readonly string[] {
  return Object.keys(env)
    .filter((name) => !names.includes(name))
    .filter((name) => !isServiceLink(name, env[name] ?? ''))
    .flatMap((name) => {
      const bare = name.replace(/^IMAGE_CLONER_/, '');
      const nearest = names
        .filter((known) => !commonNames.has(known))
        .map((known) => ({ known, distance: editDistance(bare, known) }))
        .filter(({ known, distance }) => distance <= (known.length < 12 ? 1 : 2))
        .toSorted((a, b) => a.distance - b.distance)[0];
      if (nearest !== undefined) return [`${name} is not known; did you mean ${nearest.known}?`];
      return bare === name ? [] : [`${name} is not known`];
    });
}

/** Kubernetes itself sets `IMAGE_CLONER_PORT=tcp://…` and its like in each pod beside a Service `image-cloner`. */
function isServiceLink(name: string, value: string): boolean {
  const isAddress = /_PORT(_\d+_(TCP|UDP|SCTP))?$/.test(name) && /^(tcp|udp|sctp):/.test(value);
  const isPart = /_(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT_\d+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR))$/;
  return isAddress || isPart.test(name);
}

/** Levenshtein's distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const substituted = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substituted, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
