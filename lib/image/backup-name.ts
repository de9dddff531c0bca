import { hashText } from './digest.ts';
import {
  canonicalRepository,
  dockerHub,
  isDomainLike,
  type Reference,
  type Repository,
} from './reference.ts';
import { copyTag, digestTag } from './tags.ts';

/** How the name of a source becomes the name of its backup: one component (`flat`) or a path (`nested`). */
export type Naming = 'flat' | 'nested';

/** The place in the user's registry that holds all backups. */
export interface BackupLocation {
  readonly domain: string;
  /** Path below the host, without leading or trailing slash: `acme`, `team/acme`. */
  readonly namespace: string;
  readonly naming: Naming;
}

/** docker/distribution 2.8 limits the name including the host to 255 characters. */
const maxNameLength = 255;
const hashLength = 12;

/**
 * Returns the name of the backup of `source`. The mapping is injective: two sources never share a backup.
 * The digest of the source is kept; an adapter that changes digests replaces it after the copy.
 */
export function backupReference(source: Reference, location: BackupLocation): Reference {
  return {
    ...backupRepository(source, location),
    tag: backupTag(source),
    ...(source.digest !== undefined && { digest: source.digest }),
  };
}

/** Whether `reference` is below the namespace of the backup; components are compared whole. */
export function isBackup(reference: Repository, { domain, namespace }: BackupLocation): boolean {
  return reference.domain === domain && reference.path.startsWith(`${namespace}/`);
}

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
  const isUnaltered = name === parts.join(flat ? '__' : '/');
  if (isUnaltered && name.length <= room && !isConfusable(source, name)) {
    return { domain, path: `${namespace}/${name}` };
  }
  const hash = hashText(canonicalRepository(source), hashLength);
  const stem = name.slice(0, room - hashLength - 1).replace(/[^a-z0-9]+$/, '');
  return { domain, path: `${namespace}/${stem}-${hash}` };
}

/** The components of a flat name: the host is left out for Docker Hub, `library` for its official images. */
function flatParts({ domain, path }: Repository): readonly string[] {
  if (domain !== dockerHub) return [domain, ...path.split('/')];
  const parts = path.split('/');
  return parts.length === 2 && parts[0] === 'library' ? parts.slice(1) : parts;
}

/** Replaces what a host may contain and a path may not: colons, upper case, brackets. Nothing is left of `[::]`, hence `0`. */
function toComponent(part: string): string {
  const component = part
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]+/g, '-')
    .replaceAll(/^-+|-+$/g, '');
  return component === '' ? '0' : component;
}

/** Whether `name`, without a hash appended, could also be the name of another source. */
function isConfusable({ domain, path }: Repository, name: string): boolean {
  const [head = '', next] = path.split('/');
  const looksLikeRegistry = domain === dockerHub && next !== undefined && isDomainLike(head);
  const looksJoined = path.includes('__');
  const looksHashed = new RegExp(`-[0-9a-f]{${hashLength}}$`).test(name);
  return looksLikeRegistry || looksJoined || looksHashed;
}
