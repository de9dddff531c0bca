import * as v from 'valibot';
import { registryAuths } from './registry-auth.ts';
import {
  cloudList,
  clusterId,
  dockerHost,
  flag,
  formerBackups,
  hosts,
  imagePatterns,
  listVariables,
  namespace,
  objectName,
  oneOf,
  overrides,
  owners,
  platforms,
  registry,
  text,
  wholeNumber,
} from './values.ts';

/** A test compares the table in knative/configuration.md with these. */
export const variables = {
  REGISTRY: v.optional(registry, ''),
  REGISTRY_NAMESPACE: v.optional(namespace),
  REGISTRY_AUTH: v.optional(oneOf(['auto', ...registryAuths]), 'auto'),
  REGISTRY_AUTH_DIR: v.optional(text, '/auth'),
  CLONER: v.optional(oneOf(['docker', 'registry']), 'docker'),
  DOCKER_HOST: v.optional(dockerHost, 'unix:///var/run/docker.sock'),
  PLATFORMS: v.optional(platforms, 'all'),
  NAMING: v.optional(oneOf(['flat', 'nested']), 'flat'),
  PIN_DIGESTS: v.optional(flag, 'false'),
  ON_ERROR: v.optional(oneOf(['deny', 'admit']), 'deny'),
  ON_DEADLINE: v.optional(oneOf(['retry', 'admit']), 'retry'),
  NAMESPACE_OVERRIDES: v.optional(overrides, ''),
  MAX_CLONES: v.optional(wholeNumber(1, 64), '4'),
  MAX_WAITING: v.optional(wholeNumber(1, 10_000), '1000'),
  IGNORE_IMAGES: v.optional(imagePatterns, ''),
  SOURCE_REGISTRIES: v.optional(hosts, ''),
  FORMER_BACKUPS: v.optional(formerBackups, ''),
  SOURCE_AUTH_FILE: v.optional(text),
  SOURCE_CLOUD_AUTH: v.optional(cloudList, ''),
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
  EVENTS: v.optional(flag, 'true'),
  PORT: v.optional(wholeNumber(1, 65535), '8080'),
  STATUS_PORT: v.optional(wholeNumber(0, 65535)),
  TLS_CERT_FILE: v.optional(text),
  TLS_PRIVATE_KEY_FILE: v.optional(text),
  TLS_PORT: v.optional(wholeNumber(1, 65535)),
  TLS_CLIENT_CA_FILE: v.optional(text),
  GATEWAY_CERT_FILE: v.optional(text),
  LOG_LEVEL: v.optional(oneOf(['trace', 'debug', 'info', 'warn', 'error', 'fatal']), 'info'),
  LOG_FORMAT: v.optional(oneOf(['json', 'pretty']), 'json'),
};

export const schema = v.object(variables);

/** The value of each variable, valid or by default. */
export type Values = v.InferOutput<typeof schema>;

/** The variables and their defaults, in the order of the table in knative/configuration.md. */
export const configVariables = listVariables(variables);
