import { ConfigError } from '../errors.ts';
import { dockerHub, isDomain, isDomainLike, isPath } from '../image/reference.ts';

/** The user's registry as configured; the namespace may still have to come from the username. */
export interface BackupRegistry {
  readonly domain: string;
  /** The path of `REGISTRY` below its host, often empty. */
  readonly path: string;
  readonly namespace?: string;
}

const maxNamespaceLength = 128;
/** Of 255 for the whole name; what is left is for the image's own. */
const maxLocationLength = 200;

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

export function splitRegistry(value: string): { domain: string; path: string } {
  const [host = '', ...rest] = value.replace(/\/+$/, '').split('/');
  return { domain: toHubAlias(host), path: rest.join('/') };
}

export function toHubAlias(host: string): string {
  return ['', 'docker.io', 'index.docker.io', 'registry-1.docker.io'].includes(host)
    ? dockerHub
    : host;
}

/**
 * In an image name `registry/x` is a path on Docker Hub: without a dot or a port no host can be told from one.
 * Names have room for ports and addresses that do not exist.
 */
export function isRegistry(host: string): boolean {
  return isDomain(host) && isDomainLike(host) && URL.canParse(`https://${host}`);
}

export function isNamespace(value: string): boolean {
  return isPath(value) && value.length <= maxNamespaceLength;
}
