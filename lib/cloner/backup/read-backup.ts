import { CloneError, isFailureOf } from '../../errors.ts';
import type { Reference } from '../../image/reference.ts';
import { generationTag, provenanceTag } from '../../image/tags.ts';
import type { ImageCloner, RegistryAccess, ResolveOptions } from '../../ports/index.ts';
import { withDeadline } from '../../util/abort.ts';

/** What the backup holds for one source. */
export interface BackupState {
  /** The digest to use; absent if there is none. */
  readonly digest?: string;
  /** Whether the generation tag of that digest exists; if not, another tool wrote the tag. */
  readonly isOurs: boolean;
  /** Why one of these is unknown: the backup answered neither with a digest nor that the tag is absent. */
  readonly unclear?: CloneError;
}

/** What a tag of the backup holds: a digest, nothing, or an error if the answer is unclear. */
export type TagAnswer = string | undefined | CloneError;

/** One tag in the backup, and how to read it. */
export interface BackupQuery {
  readonly cloner: ImageCloner;
  readonly backup: Reference & { readonly tag: string };
  readonly access: RegistryAccess;
  readonly signal: AbortSignal;
}

/** Limits reads in a copy, which has no deadline of a review. */
const answerTimeoutMs = 10_000;

/** Reads what the backup holds for `source`. */
export async function readBackup(
  query: BackupQuery,
  source: Reference,
  options: ReadOptions = {},
): Promise<BackupState> {
  const { tag } = query.backup;
  if (source.digest !== undefined) return await readPinned(query, source.digest, options);
  const digest = await readTag(query, tag, options);
  if (digest === undefined) return { isOurs: false };
  if (digest instanceof CloneError) return { isOurs: false, unclear: digest };
  const isOurs = await isGeneration(query, digest, options);
  if (isOurs instanceof CloneError) return { digest, isOurs: false, unclear: isOurs };
  return { digest, isOurs };
}

/**
 * Reads the copy of a pinned source. Only a generation counts: the plain tag may rightly hold another digest. A copy with all
 * platforms serves as well as one of the selected platforms and, before a refusal, so does one of an earlier selection.
 */
async function readPinned(
  query: BackupQuery,
  sourceDigest: string,
  options: ReadOptions = {},
): Promise<BackupState> {
  const { selection } = query.cloner;
  const whole = (): TagAnswer => sourceDigest;
  const recorded = (origin: string) => (): Promise<TagAnswer> =>
    readTag(query, provenanceTag(query.backup.tag, origin), options);
  const candidates = [
    ...(selection === undefined ? [] : [recorded(selection.originOf(sourceDigest))]),
    whole,
    ...(options.isFinal === true ? [recorded(sourceDigest)] : []),
  ];
  let unclear: CloneError | undefined;
  for (const read of candidates) {
    const digest = await read();
    const isOurs = typeof digest === 'string' ? await isGeneration(query, digest, options) : digest;
    if (typeof digest === 'string' && isOurs === true) return { digest, isOurs };
    if (isOurs instanceof CloneError) unclear ??= isOurs;
  }
  return { isOurs: false, ...(unclear !== undefined && { unclear }) };
}

/** Whether image-cloner wrote the tag with this digest. */
export async function isGeneration(
  query: BackupQuery,
  digest: string,
  options?: ReadOptions,
): Promise<boolean | CloneError> {
  const kept = await readTag(query, generationTag(query.backup.tag, digest), options);
  return kept instanceof CloneError ? kept : kept === digest;
}

/** Whether `digest` in the backup is the copy of `sourceDigest`. */
export async function isCopyOf(
  query: BackupQuery,
  digest: string,
  sourceDigest: string,
): Promise<boolean> {
  if (digest === sourceDigest) return true;
  const { selection } = query.cloner;
  if (selection === undefined) return false;
  const provenance = provenanceTag(query.backup.tag, selection.originOf(sourceDigest));
  return (await readTag(query, provenance)) === digest;
}

/** The digest of the copy of `sourceDigest`, if the backup holds it and image-cloner wrote it. */
export async function findCopy(
  query: BackupQuery,
  source: Reference,
  sourceDigest: string,
): Promise<string | undefined> {
  const { digest, isOurs } = await readBackup(query, source);
  if (digest === undefined || !isOurs) return undefined;
  // The backup of a pinned source was read by its digest.
  const isThere = source.digest !== undefined || (await isCopyOf(query, digest, sourceDigest));
  return isThere ? digest : undefined;
}

export type ReadOptions = Pick<ResolveOptions, 'isFinal'>;

/** The digest that a tag of the backup's repository holds. Rejects only if the registry cannot be reached. */
export async function readTag(
  query: BackupQuery,
  tag: string,
  options: ReadOptions = {},
): Promise<TagAnswer> {
  return await resolveInTime(query, { tag }, options);
}

/** As `readTag`, for a digest. */
export async function readManifest(query: BackupQuery, digest: string): Promise<TagAnswer> {
  return await resolveInTime(query, { digest }, {});
}

/**
 * The digest that the backup holds under this very name, whoever wrote it; `undefined` if there is none. Rejects without a clear
 * answer.
 */
export async function readNamed(
  query: BackupQuery,
  { tag, digest }: Pick<Reference, 'tag' | 'digest'>,
): Promise<string | undefined> {
  const found =
    digest === undefined
      ? await readTag(query, tag ?? 'latest', { isFinal: true })
      : await readManifest(query, digest);
  if (found instanceof CloneError) throw found;
  return found;
}

/** A backup that does not list its tags, or not within `ms`, counts as a backup without tags. */
export async function listTags(
  { cloner, backup: { domain, path }, access, signal }: BackupQuery,
  ms = answerTimeoutMs,
): Promise<readonly string[]> {
  try {
    return await withDeadline({ ms, error: lateError(domain), signal }, (within) =>
      Promise.resolve(cloner.listTags?.({ domain, path }, access, within) ?? []),
    );
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof CloneError) return [];
    throw error;
  }
}

async function resolveInTime(
  { cloner, backup: { domain, path }, access, signal }: BackupQuery,
  version: Pick<Reference, 'tag' | 'digest'>,
  options: ReadOptions,
): Promise<TagAnswer> {
  const error = lateError(domain);
  try {
    const found = await withDeadline({ ms: answerTimeoutMs, error, signal }, (within) =>
      cloner.resolve({ domain, path, ...version }, access, within, options),
    );
    return found?.digest;
  } catch (failure) {
    signal.throwIfAborted();
    if (isFailureOf('backup', failure) && !failure.isUnreachable) return failure;
    throw failure;
  }
}

/** The digest of a copy of `sourceDigest` that has a generation tag, whatever the plain tag holds. */
export async function findGeneration(
  query: BackupQuery,
  sourceDigest: string,
): Promise<string | undefined> {
  return (await readPinned(query, sourceDigest)).digest;
}

function lateError(domain: string): () => CloneError {
  return () =>
    new CloneError('BACKUP_UNAVAILABLE', `the backup registry ${domain} did not answer in time`);
}
