import { createHash } from 'node:crypto';
import {
  canonicalRepository,
  dockerHub,
  isDomainLike,
  type Reference,
  type Repository,
} from './reference.ts';
import { copyTag, digestTag } from './tags.ts';

/** How the source's name becomes one repository (`flat`, two levels) or a path of its own (`nested`). */
export type Naming = 'flat' | 'nested';

/** The place in the user's registry that holds all copies. */
export interface BackupLocation {
  readonly domain: string;
  /** Path below the host, without slashes at the ends: `acme`, `team/acme`. */
  readonly namespace: string;
  readonly naming: Naming;
}

/** Old parsers limit the whole name, host included, to 255 characters (docker/distribution 2.8). */
const maxNameLength = 255;
const hashLength = 12;

/**
 * The name of the copy of `source`. The mapping is injective: two sources never share a name.
 * A source's digest is kept; an adapter that cannot keep digests replaces it after the copy.
 */
export function backupReference(source: Reference, location: BackupLocation): Reference {
  return {
    ...backupRepository(source, location),
    tag: backupTag(source),
    ...(source.digest !== undefined && { digest: source.digest }),
  };
}

/** Whether `reference` names something inside the backup, compared by path components, never by prefix of a string. */
export function isBackup(reference: Repository, { domain, namespace }: BackupLocation): boolean {
  return reference.domain === domain && reference.path.startsWith(`${namespace}/`);
}

/** The tag under which a source is kept: its own, `latest`, or one made of its digest. */
function backupTag({ tag, digest }: Reference): string {
  if (tag !== undefined) return copyTag(tag);
  return digest === undefined ? 'latest' : digestTag(digest);
}

function backupRepository(source: Repository, location: BackupLocation): Repository {
  const { domain, namespace, naming } = location;
  const flat = naming === 'flat';
  const parts = flat ? flatParts(source) : [source.domain, ...source.path.split('/')];
  const name = parts.map(toComponent).join(flat ? '__' : '/');

  const room = maxNameLength - domain.length - namespace.length - 2;
  const isPlain = name === parts.join(flat ? '__' : '/');
  if (isPlain && name.length <= room && !isConfusable(source, name)) {
    return { domain, path: `${namespace}/${name}` };
  }
  const hash = createHash('sha256')
    .update(canonicalRepository(source))
    .digest('hex')
    .slice(0, hashLength);
  const stem = name.slice(0, room - hashLength - 1).replace(/[^a-z0-9]+$/, '');
  return { domain, path: `${namespace}/${stem}-${hash}` };
}

/** `library/nginx` on Docker Hub is `nginx`; other registries come first in the name. */
function flatParts({ domain, path }: Repository): readonly string[] {
  if (domain !== dockerHub) return [domain, ...path.split('/')];
  const parts = path.split('/');
  return parts.length === 2 && parts[0] === 'library' ? parts.slice(1) : parts;
}

/** Hosts may hold what a path may not: a port's colon, upper case, IPv6's brackets. Of `[::]` nothing else would be left. */
function toComponent(part: string): string {
  const component = part
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]+/g, '-')
    .replaceAll(/^-+|-+$/g, '');
  return component === '' ? '0' : component;
}

/** Names that another source could also be mapped to, were they left alone. */
function isConfusable({ domain, path }: Repository, name: string): boolean {
  const [head = '', next] = path.split('/');
  const posesAsRegistry = domain === dockerHub && next !== undefined && isDomainLike(head);
  const posesAsJoined = path.includes('__');
  const posesAsHashed = new RegExp(`-[0-9a-f]{${hashLength}}$`).test(name);
  return posesAsRegistry || posesAsJoined || posesAsHashed;
}
