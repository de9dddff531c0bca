import { CloneError, isPostponed } from '../../errors.ts';
import { formatReference, type Reference } from '../../image/reference.ts';
import { holdTag } from '../../image/tags.ts';
import { type BackupQuery, holds } from './read-backup.ts';

/**
 * What a hold is overwritten with when it ends. To delete the tag would be simpler, but distribution 2.8 deletes by digest only,
 * and with the digest every tag that holds it. It is an image, without layers, so that whoever audits the backup finds it whole.
 */
export const released = {
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  manifest:
    '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:4c48b34bfafeec719238790137eac41ec6d79756376be684dcc79b85e44b2d12","size":82},"layers":[],"annotations":{"image-cloner/hold":"released"}}',
  digest: 'sha256:9fcf4c2e9786e0f48801fcce2d9c77f49d2ef3013e051a15cff08d931dfaa970',
  config: '{"architecture":"unknown","os":"unknown","rootfs":{"type":"layers","diff_ids":[]}}',
  configDigest: 'sha256:4c48b34bfafeec719238790137eac41ec6d79756376be684dcc79b85e44b2d12',
} as const;

/** The digest at which a person holds the tag; asked only when the tag is about to move. */
export async function findHold(question: BackupQuery): Promise<string | undefined> {
  return toHold(await holds(question, holdTag(question.backup.tag)));
}

/** What a hold's tag means that holds this digest. */
export function toHold(digest: string | undefined): string | undefined {
  return digest === released.digest ? undefined : digest;
}

/** For the one who wonders why the new image is not used. What kubectl shows ends after 120 characters, and images have long names. */
export function holdWarning(source: Reference, held: string): string {
  return `${formatReference(source)} is held at ${held.slice(0, 19)}; "just rollback IMAGE --release" ends that`;
}

/** For the one who meets a rollback that was interrupted and cannot be finished here. */
export function unfinishedWarning(source: Reference, held: string): string {
  const name = formatReference(source);
  return `a rollback is not finished: "just rollback ${name} ${held.slice(0, 19)}" does that`;
}

/** Whether it is a reason to stay with what is there, rather than one to come back later. */
export function isPassable(error: unknown): boolean {
  return error instanceof CloneError && !isPostponed(error);
}
