import { CloneError, isFailureOf } from '../../errors.ts';
import { canonicalReference, formatReference, type Reference } from '../../image/reference.ts';
import { parseTagRole, shortHex } from '../../image/tags.ts';
import { createCooldown } from '../../util/cooldown.ts';
import { findHold } from './hold.ts';
import { type BackupQuery, isGeneration, listTags, readTag } from './read-backup.ts';

/**
 * Tags of the backup that the registry did not let move (ECR, Harbor, ACR, GAR and zot can forbid it). Objects then name the
 * digest of the newest generation beside the tag. See lib/decisions/0001-tag-scheme-and-generations.md.
 */
export interface ImmutableTags {
  note(backup: BackupQuery['backup']): void;
  isKnown(backup: BackupQuery['backup']): boolean;
}

/** Then the tag is tried again: the registry's rules may have changed. */
const knownMs = 10 * 60_000;
const maxKnown = 10_000;

export function createImmutableTags({ now }: { readonly now: () => number }): ImmutableTags {
  const known = createCooldown({ now, maxMs: knownMs, maxKeys: maxKnown });
  return {
    note: (backup) => known.start(canonicalReference(backup), knownMs),
    isKnown: (backup) => known.remainingMs(canonicalReference(backup)) > 0,
  };
}

/** Whether the registry refused to write a tag, in whatever words, and would refuse it again. */
export function isImmovable(error: unknown): error is CloneError {
  return isFailureOf('backup', error, ['REFUSED', 'DENIED', 'UNSUPPORTED']) && !error.isTransient;
}

export function immutableWarning(source: Reference, { message }: CloneError): string {
  return `${formatReference(source)} is pinned to its digest, because its tag is immutable: ${message}`;
}

/**
 * The digest that the tag means, if it holds `held` and a newer move was recorded that the registry did not allow, or that was
 * interrupted. Nothing if a rollback holds the tag.
 */
export async function findNewerGeneration(
  query: BackupQuery,
  held: string,
): Promise<string | undefined> {
  const newest = await findUnfinishedMove(query, held);
  if (newest === undefined || (await findHold(query)) !== undefined) return undefined;
  return (await isGeneration(query, newest)) === true ? newest : undefined;
}

/** The target of the newest recorded move, if that is a move away from `held`, which the tag still holds. */
export async function findUnfinishedMove(
  query: BackupQuery,
  held: string,
): Promise<string | undefined> {
  const moves = (await listTags(query)).flatMap((name) => {
    const role = parseTagRole(name, query.backup.tag);
    return role?.kind === 'move' ? [{ name, ...role }] : [];
  });
  const [newest] = moves.toSorted((a, b) => b.at - a.at);
  if (newest?.from !== shortHex(held)) return undefined;
  const target = await readTag(query, newest.name);
  return target === held || target instanceof CloneError ? undefined : target;
}
