import { type BackupLocation, backupReference, type Naming } from './backup-name.ts';
import { canonicalRepository, type Reference, type Repository } from './reference.ts';
import { parseTagRole, shortHex } from './tags.ts';

const namings: readonly Naming[] = ['flat', 'nested'];

/**
 * Returns the backup that `image` is a copy of `original` in, judged by its name alone: whatever the registry, the namespace and the
 * naming, the repository name and the tag must be those that image-cloner gives to a copy of `original`. `undefined` if they are not.
 */
export function locateCopy(image: Reference, original: Reference): BackupLocation | undefined {
  // An official image of Docker Hub is below the namespace `library`, as its copy could be.
  if (canonicalRepository(image) === canonicalRepository(original)) return undefined;
  return listBackups(image).find((location) => {
    const copy = backupReference(original, location);
    return copy.path === image.path && isTagOfCopy(image, original, copy.tag ?? 'latest');
  });
}

/** Every backup that an image can be in: each leading part of its path is a namespace, in both namings. */
export function listBackups({ domain, path }: Repository): readonly BackupLocation[] {
  const parts = path.split('/');
  return parts
    .slice(1)
    .map((_, index) => parts.slice(0, index + 1).join('/'))
    .flatMap((namespace) => namings.map((naming) => ({ domain, namespace, naming })));
}

/** The tag of the copy, or the tag of one of its generations. */
function isTagOfCopy({ tag, digest }: Reference, original: Reference, copyTag: string): boolean {
  if (tag === undefined) {
    return digest === undefined ? copyTag === 'latest' : digest === original.digest;
  }
  const role = parseTagRole(tag, copyTag);
  if (role?.kind === 'plain') return true;
  return role?.kind === 'generation' && (digest === undefined || shortHex(digest) === role.hex);
}
