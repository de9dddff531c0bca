import { CloneError } from '../errors.ts';
import { backupReference, isBackup } from '../image/backup-name.ts';
import { listBackups } from '../image/copy-name.ts';
import { formatReference, type Reference, type Repository } from '../image/reference.ts';
import { isSameTag, recordedOf, tryParse } from './original-images.ts';
import type { FormerBackup, ReviewPolicy } from './policy.ts';
import type { ImagePlace } from './workload.ts';

/** An update changed the tag or digest of a copy's name: the backup is asked before the source, and a failure is only a warning. */
export interface EditedCopy {
  readonly kind: 'edited';
  /** The same change of the recorded original. */
  readonly original: Reference;
  /** Why the source may not be copied if the backup does not hold the copy. */
  readonly forbidden?: CloneError;
}

/** A copy in a former backup. */
export interface FormerCopy {
  readonly kind: 'former';
  readonly original: Reference;
  /** Its name, as the source of last resort. */
  readonly reference: Reference;
}

type Originals = ReadonlyMap<string, string>;

/** `kubectl set image` or `rollout undo` on a rewritten object names another tag or digest of the copy that `old` names. */
export function findEdit(
  reference: Reference,
  old: ImagePlace | undefined,
  oldOriginals: Originals,
  policy: ReviewPolicy,
): EditedCopy | undefined {
  const stored = old === undefined ? undefined : parseIfValid(old.image);
  if (old === undefined || stored === undefined) return undefined;
  if (!isSameRepository(stored, reference)) return undefined;
  const before = parseIfValid(recordedOf(old, [oldOriginals]));
  // Any client can write the annotation, so the entry must be of this copy; its tag may be that of an earlier edit.
  if (before === undefined || !isSameRepository(backupReference(before, policy.backup), stored)) {
    return undefined;
  }
  const { digest, tag = digest === undefined ? undefined : stored.tag } = reference;
  const original = {
    domain: before.domain,
    path: before.path,
    ...(tag !== undefined && { tag }),
    ...(digest !== undefined && { digest }),
  };
  // A tag that the mapping would change is not the name of a copy.
  if (backupReference(original, policy.backup).tag !== (tag ?? 'latest')) return undefined;
  const forbidden = findForbidden(formatReference(original), original, policy);
  return { kind: 'edited', original, ...(forbidden !== undefined && { forbidden }) };
}

/**
 * Any client can write the annotation, so an entry counts only if either naming makes this image of it. The image is then reviewed
 * as its original, by the policy for that.
 */
export function findFormer(
  place: ImagePlace,
  reference: Reference,
  records: readonly Originals[],
  { formerBackups = [] }: ReviewPolicy,
): FormerCopy | undefined {
  const former = formerBackups.find((each) => isInside(reference, each));
  if (former === undefined) return undefined;
  const original = parseIfValid(recordedOf(place, records));
  if (original === undefined) return undefined;
  const isCopy = listBackups(reference)
    .filter(({ namespace }) => former.namespace === undefined || namespace === former.namespace)
    .some((backup) => isSameTag(backupReference(original, backup), reference));
  return isCopy ? { kind: 'former', original, reference } : undefined;
}

/** Why the policy allows no copy of a source. */
export function findForbidden(
  image: string,
  { domain }: Reference,
  { sourceRegistries }: ReviewPolicy,
): CloneError | undefined {
  if (sourceRegistries.length === 0 || sourceRegistries.includes(domain)) return undefined;
  const message = `${image} may not be used: SOURCE_REGISTRIES does not list ${domain}`;
  return new CloneError('REGISTRY_NOT_ALLOWED', message);
}

function parseIfValid(image: string | undefined): Reference | undefined {
  const reference = image === undefined ? undefined : tryParse(image);
  return reference instanceof CloneError ? undefined : reference;
}

function isSameRepository(a: Repository, b: Repository): boolean {
  return a.domain === b.domain && a.path === b.path;
}

function isInside(reference: Repository, { domain, namespace }: FormerBackup): boolean {
  return namespace === undefined
    ? reference.domain === domain
    : isBackup(reference, { domain, namespace, naming: 'flat' });
}
