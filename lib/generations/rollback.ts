import { assertMovable, released, toHold } from '../cloner/backup/index.ts';
import { CloneError } from '../errors.ts';
import { formatReference, type Reference } from '../image/reference.ts';
import { generationTag, holdTag, moveTag, parseTagRole } from '../image/tags.ts';
import type { BackupRepository } from '../ports/index.ts';
import { mapConcurrently } from '../util/semaphore.ts';
import { maxConcurrentRequests } from './generations.ts';
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

/**
 * Moves a tag to one of its generations and holds it there. The hold is written first: if the process is killed in between, no
 * review moves the tag, and the same command or the next review finishes the rollback.
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
  await repository.tag(digest, holdTag(tag), signal);
  // A review that did not see the hold may have moved the tag in between.
  const from = await keepCurrent();
  if (from === digest) return { digest, from };
  if (from !== undefined) await repository.tag(digest, moveTag(tag, { at: now(), from }), signal);
  await repository.tag(digest, tag, signal);
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
  if (held !== undefined) await repository.put(released, tag, signal);
  return held;
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
    const role = parseTagRole(name, tag);
    return role?.kind === 'generation' && (role.hex.startsWith(hex) || hex.startsWith(role.hex));
  });
  const held = await mapConcurrently(names, maxConcurrentRequests, async (name) => {
    const digest = await repository.resolve(name, signal);
    return digest !== undefined && generationTag(tag, digest) === name ? [digest] : [];
  });
  const found = held
    .flat()
    .filter((digest) => digest.startsWith(algorithm) && digest.includes(`:${hex}`));
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
