import { assertMovable, released, toHold } from '../cloner/backup/index.ts';
import { CloneError, describeRegistry, isFailureOf } from '../errors.ts';
import { currentDigest } from '../image/current-digest.ts';
import { formatReference, type Reference } from '../image/reference.ts';
import { generationTag, holdTag, moveTag, parseTagRole } from '../image/tags.ts';
import type { BackupRepository } from '../ports/index.ts';
import { mapConcurrently } from '../util/semaphore.ts';
import { maxConcurrentRequests, readHoldings } from './generations.ts';
import { findMissing } from './image-tree.ts';

/** One tag of the backup, and how to write it. */
export interface RollbackContext {
  readonly repository: BackupRepository;
  readonly backup: Reference & { readonly tag: string };
  readonly adoptExisting: boolean;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly signal: AbortSignal;
}

interface RolledBack {
  readonly digest: string;
  /** The previous digest; absent if the tag held nothing. */
  readonly from?: string;
}

const shortestHex = 6;

/** Answers of a registry that does not let a tag move: 400, 403, 405, 409, 412 and others. */
const refusals = ['REFUSED', 'DENIED', 'UNSUPPORTED'] as const;
const notRolledBack = 'was not rolled back and stays as it is';

/**
 * Moves a tag to one of its generations and holds it there. The hold is written first, so that the same command or the next
 * review finishes a rollback that was killed; if the registry does not let the tag move, the tag keeps its hold and meaning.
 */
export async function rollBack(context: RollbackContext, wanted: string): Promise<RolledBack> {
  const { repository, backup, signal, now } = context;
  const { tag } = backup;
  const digest = await findGeneration(context, wanted);
  const missing = await findMissing(repository, digest, signal);
  if (missing.length > 0) {
    throw new CloneError(
      'BACKUP_NOT_FOUND',
      `${digest} is incomplete: the backup lacks ${missing.join(', ')}; ${nameOf(context)} was not moved`,
    );
  }
  const keepCurrent = async (): Promise<string | undefined> => {
    const from = await repository.resolve(tag, signal);
    if (from !== undefined && from !== digest) await keep(context, from);
    return from;
  };
  await keepCurrent();
  const before = await writeHold(context, digest);
  // A review that did not see the hold may have moved the tag in between.
  const from = await keepCurrent();
  if (from === digest) {
    await recordMeaning(context, digest, { at: now(), from });
    return { digest, from };
  }
  if (from === undefined) await repository.tag(digest, tag, signal);
  else await move(context, digest, from, before);
  if ((await repository.resolve(tag, signal)) !== digest) {
    throw new CloneError(
      'BACKUP_REFUSED',
      `${nameOf(context)} was moved by another process at the same time: try again; the hold is in force`,
    );
  }
  return { digest, ...(from !== undefined && { from }) };
}

/** Ends a hold; resolves with the digest that was held, if any. */
export async function release({
  repository,
  backup,
  signal,
}: RollbackContext): Promise<string | undefined> {
  const tag = holdTag(backup.tag);
  const held = toHold(await repository.resolve(tag, signal));
  if (held === undefined) return undefined;
  try {
    await repository.put(released, tag, signal);
    return held;
  } catch (error) {
    throw isFailureOf('backup', error, ['REFUSED', 'UNSUPPORTED'])
      ? immovable('is still held', backup, tag, error)
      : error;
  }
}

/**
 * Writes the hold and resolves with the digest that its tag held before. A new hold is written released at first: if the registry
 * does not let a tag move, a hold could not be ended.
 */
async function writeHold(
  { repository, backup, signal }: RollbackContext,
  digest: string,
): Promise<string | undefined> {
  const tag = holdTag(backup.tag);
  const before = await repository.resolve(tag, signal);
  if (before === digest) return before;
  if (before === undefined) await repository.put(released, tag, signal);
  try {
    await repository.tag(digest, tag, signal);
    return before;
  } catch (error) {
    // An account that may not write is denied as well, but it has just written the tag.
    if (before !== undefined && isFailureOf('backup', error, ['DENIED'])) throw error;
    throw isFailureOf('backup', error, refusals)
      ? immovable(notRolledBack, backup, tag, error)
      : error;
  }
}

/** Moves the tag, and undoes everything if the registry refuses that. */
async function move(
  context: RollbackContext,
  digest: string,
  from: string,
  holdBefore: string | undefined,
): Promise<void> {
  const { repository, backup, now, signal } = context;
  const { tag } = backup;
  const at = now();
  const record = moveTag(tag, { at, from });
  await repository.tag(digest, record, signal);
  try {
    await repository.tag(digest, tag, signal);
  } catch (error) {
    const isRefused = isFailureOf('backup', error, refusals);
    if (!isRefused || (await repository.resolve(tag, signal)) !== from) throw error;
    const held = toHold(holdBefore);
    if (held === undefined) await repository.put(released, holdTag(tag), signal);
    else await repository.tag(held, holdTag(tag), signal);
    // The record of a refused move counts as a move, so a later one restores what the tag meant.
    const others = [...(await readHoldings(repository, signal))].filter(
      ([name]) => name.toLowerCase() !== record.toLowerCase(),
    );
    const meaning = currentDigest(new Map(others), tag) ?? from;
    await recordMeaning(context, meaning, { at: at + 1_000, from });
    throw immovable(notRolledBack, backup, tag, error);
  }
}

/** Makes the tag mean a digest if another move is recorded. */
async function recordMeaning(
  { repository, backup: { tag }, signal }: RollbackContext,
  digest: string,
  record: { readonly at: number; readonly from: string },
): Promise<void> {
  if (currentDigest(await readHoldings(repository, signal), tag) === digest) return;
  await repository.tag(digest, moveTag(tag, record), signal);
}

function immovable(outcome: string, backup: Reference, tag: string, error: CloneError): CloneError {
  const words = error.cause instanceof Error ? error.cause.message : error.message;
  const registry = describeRegistry('backup', backup.domain);
  return new CloneError(
    'BACKUP_REFUSED',
    `${formatReference(backup)} ${outcome}: ${registry} does not let the tag ${tag} move (${words}); allow that in the registry, or name the digest in the workload`,
    { cause: error },
  );
}

/** Writes the generation tag of the digest that the tag is about to lose. */
async function keep(
  { repository, backup, adoptExisting, signal }: RollbackContext,
  digest: string,
): Promise<void> {
  const generation = generationTag(backup.tag, digest);
  const isOurs = (await repository.resolve(generation, signal)) === digest;
  assertMovable(backup, { digest, isOurs }, adoptExisting);
  if (!isOurs) await repository.tag(digest, generation, signal);
}

/** Finds a generation by its digest or by its first digits. */
async function findGeneration(context: RollbackContext, wanted: string): Promise<string> {
  const { repository, backup, signal } = context;
  const { tag } = backup;
  const [, algorithm = '', hex = ''] = /^(?:(sha\d+):)?([0-9a-f]+)$/.exec(wanted) ?? [];
  if (hex.length < shortestHex) {
    throw new CloneError(
      'INVALID_REFERENCE',
      `${JSON.stringify(wanted)} is not a digest: write one such as sha256:0123456789ab, with at least ${shortestHex} hexadecimal digits`,
    );
  }
  const names = (await repository.tags(signal)).filter((name) => {
    // A registry whose tags have no case may list them in lower case.
    const role = parseTagRole(name, tag, { ignoresCase: true });
    return role?.kind === 'generation' && (role.hex.startsWith(hex) || hex.startsWith(role.hex));
  });
  const held = await mapConcurrently(names, maxConcurrentRequests, async (name) => {
    const digest = await repository.resolve(name, signal);
    if (digest === undefined) return [];
    const exact = generationTag(tag, digest);
    const isOwn = exact === name || (await repository.resolve(exact, signal)) === digest;
    return isOwn ? [digest] : [];
  });
  const found = [...new Set(held.flat())].filter(
    (digest) => digest.startsWith(algorithm) && digest.includes(`:${hex}`),
  );
  const [digest] = found;
  if (digest === undefined) {
    throw new CloneError(
      'BACKUP_NOT_FOUND',
      `the backup has no generation ${wanted} of ${nameOf(context)}`,
    );
  }
  if (found.length > 1) {
    throw new CloneError('INVALID_REFERENCE', `${wanted} is ambiguous: ${found.join(' or ')}`);
  }
  return digest;
}

function nameOf({ backup: { domain, path, tag } }: RollbackContext): string {
  return formatReference({ domain, path, tag });
}
