import { CloneError, isPostponed } from '../../errors.ts';
import { formatReference, type Reference } from '../../image/reference.ts';
import { holdTag } from '../../image/tags.ts';
import { type BackupQuery, type ReadOptions, readTag, type TagAnswer } from './read-backup.ts';

/**
 * Overwrites the tag of a hold that ends, because distribution 2.8 deletes by digest, with every tag that holds it. The image
 * has no layers, so that an audit of the backup finds it complete.
 */
export const released = {
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  manifest:
    '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:4c48b34bfafeec719238790137eac41ec6d79756376be684dcc79b85e44b2d12","size":82},"layers":[],"annotations":{"image-cloner/hold":"released"}}',
  digest: 'sha256:9fcf4c2e9786e0f48801fcce2d9c77f49d2ef3013e051a15cff08d931dfaa970',
  config: '{"architecture":"unknown","os":"unknown","rootfs":{"type":"layers","diff_ids":[]}}',
  configDigest: 'sha256:4c48b34bfafeec719238790137eac41ec6d79756376be684dcc79b85e44b2d12',
} as const;

/** The digest at which a rollback holds the tag. Read only if the tag is about to move. */
export async function findHold(query: BackupQuery, options?: ReadOptions): Promise<TagAnswer> {
  const held = await readTag(query, holdTag(query.backup.tag), options);
  return held instanceof CloneError ? held : toHold(held);
}

/** The held digest, from the digest of the hold's tag; `undefined` if the hold is released. */
export function toHold(digest: string | undefined): string | undefined {
  return digest === released.digest ? undefined : digest;
}

/** For most images it fits into the 120 characters of a warning. */
export function holdWarning(source: Reference, held: string): string {
  return `${formatReference(source)} is held at ${held.slice(0, 19)}; "just rollback IMAGE --release" releases it`;
}

/** For an interrupted rollback that the review cannot finish. */
export function unfinishedWarning(source: Reference, held: string): string {
  return `a rollback of ${formatReference(source)} is not finished: "just rollback IMAGE ${held.slice(0, 19)}" finishes it`;
}

/** Whether the current digest stays in use if a rollback cannot be finished; any other failure ends the review. */
export function isPassable(error: unknown): boolean {
  return error instanceof CloneError && !isPostponed(error);
}
