import { CloneError, isPostponed } from '../../errors.ts';
import { formatReference, type Reference } from '../../image/reference.ts';
import { holdTag } from '../../image/tags.ts';
import { type BackupQuery, readTag } from './read-backup.ts';

/**
 * What overwrites a hold when it ends. distribution 2.8 deletes by digest, with every tag that holds the digest, so the tag cannot be
 * deleted. It is an image without layers, so that an audit of the backup finds it complete.
 */
export const released = {
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  manifest:
    '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:4c48b34bfafeec719238790137eac41ec6d79756376be684dcc79b85e44b2d12","size":82},"layers":[],"annotations":{"image-cloner/hold":"released"}}',
  digest: 'sha256:9fcf4c2e9786e0f48801fcce2d9c77f49d2ef3013e051a15cff08d931dfaa970',
  config: '{"architecture":"unknown","os":"unknown","rootfs":{"type":"layers","diff_ids":[]}}',
  configDigest: 'sha256:4c48b34bfafeec719238790137eac41ec6d79756376be684dcc79b85e44b2d12',
} as const;

/** The digest at which a rollback holds the tag; read only when the tag is about to move. */
export async function findHold(query: BackupQuery): Promise<string | undefined> {
  return toHold(await readTag(query, holdTag(query.backup.tag)));
}

/** The held digest, from the digest that a hold's tag has. */
export function toHold(digest: string | undefined): string | undefined {
  return digest === released.digest ? undefined : digest;
}

/** Within 120 characters for most images: kubectl's warnings end there. */
export function holdWarning(source: Reference, held: string): string {
  return `${formatReference(source)} is held at ${held.slice(0, 19)}; "just rollback IMAGE --release" ends that`;
}

/** For a rollback that was interrupted and cannot be finished by a review. */
export function unfinishedWarning(source: Reference, held: string): string {
  const name = formatReference(source);
  return `a rollback is not finished: "just rollback ${name} ${held.slice(0, 19)}" does that`;
}

/** Whether a failure to finish a rollback leaves the current digest in use, instead of ending the review. */
export function isPassable(error: unknown): boolean {
  return error instanceof CloneError && !isPostponed(error);
}
