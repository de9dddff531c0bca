import { ConfigError } from '../errors.ts';
import { dockerHub, isDomain, isDomainLike, isPath } from '../image/reference.ts';

/** The backup registry as configured; without a namespace, the username becomes the namespace. */
export interface BackupRegistry {
  readonly domain: string;
  /** The path of `REGISTRY` below its host, often empty. */
  readonly path: string;
  readonly namespace?: string;
}

const maxNamespaceLength = 128;
/** Of the 255 characters of a repository name; the rest is for the name of the source. */
const maxLocationLength = 200;

/**
 * Returns the namespace of the backup: the path of `REGISTRY`, then the configured namespace or else the username.
 * Throws `ConfigError` if the username cannot be part of an image name (robot accounts, `_json_key`).
 */
export function toBackupNamespace(
  { domain, path, namespace }: BackupRegistry,
  username: string,
): string {
  const last = namespace ?? username;
  if (namespace === undefined && !isNamespace(last)) {
    throw new ConfigError([
      `REGISTRY_NAMESPACE must be set: the username ${JSON.stringify(username)} cannot be part of an image name`,
    ]);
  }
  const whole = path === '' ? last : `${path}/${last}`;
  if (`${domain}/${whole}`.length > maxLocationLength) {
    throw new ConfigError([
      `REGISTRY and REGISTRY_NAMESPACE must together have at most ${maxLocationLength} characters: the rest of a name is for the image`,
    ]);
  }
  return whole;
}

/**
 * Returns the namespace of a registry that runs in the cluster (`registry.tools.svc:5000` → `tools`). That namespace must be
 * excluded, because the registry and image-cloner would otherwise need each other to start.
 */
export function namespaceOfService(domain: string): string | undefined {
  return /^[^.:]+\.([^.:]+)\.svc(?:[.:]|$)/.exec(domain)?.[1];
}

/** Splits the value of `REGISTRY` into the host and the path below it. */
export function splitRegistry(value: string): { domain: string; path: string } {
  const [host = '', ...rest] = value.replace(/\/+$/, '').split('/');
  return { domain: normalizeHost(host), path: rest.join('/') };
}

/** Maps every name of Docker Hub, the empty one included, to `docker.io`. */
export function normalizeHost(host: string): string {
  return ['', 'docker.io', 'index.docker.io', 'registry-1.docker.io'].includes(host)
    ? dockerHub
    : host;
}

/** Whether an image name that starts with `host` is read as that registry. `registry/x` is not: it is a path on Docker Hub. */
export function isRegistry(host: string): boolean {
  // The grammar of image names allows ports and addresses that do not exist; a URL does not.
  return isDomain(host) && isDomainLike(host) && URL.canParse(`https://${host}`);
}

export function isNamespace(value: string): boolean {
  return isPath(value) && value.length <= maxNamespaceLength;
}
