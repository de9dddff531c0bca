import { CloneError, isFailureOf } from '../../errors.ts';
import { ignoresCase } from '../../image/current-digest.ts';
import { canonicalReference, formatReference, type Reference } from '../../image/reference.ts';
import { parseTagRole, shortHex } from '../../image/tags.ts';
import { createCooldown } from '../../util/cooldown.ts';
import { findHold } from './hold.ts';
import { type BackupQuery, isGeneration, readTag } from './read-backup.ts';

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

/** Each costs a request; a tag with more recorded moves has had a long life on a registry that lets it move. */
const maxMovesRead = 20;

/**
 * The digest that the tag means, if that is not the one that it holds and no rollback holds the tag.
 * @param names every tag that the registry lists
 */
export async function findNewerGeneration(
  query: BackupQuery,
  held: string,
  names: readonly string[],
): Promise<string | undefined> {
  const newest = await findUnfinishedMove(query, held, names);
  if (newest === undefined || (await findHold(query)) !== undefined) return undefined;
  return newest;
}

/**
 * The target of the newest recorded move away from `held`, which the tag holds nevertheless: the registry did not let it move, or the
 * copy was interrupted. The same rule as `currentDigest`, with few requests.
 */
export async function findUnfinishedMove(
  query: BackupQuery,
  held: string,
  names: readonly string[],
): Promise<string | undefined> {
  const { tag } = query.backup;
  const options = { ignoresCase: ignoresCase(names, tag) };
  const moves = names.flatMap((name) => {
    const role = parseTagRole(name, tag, options);
    return role?.kind === 'move' ? [{ name, ...role }] : [];
  });
  for (const { name, from } of moves.toSorted((a, b) => b.at - a.at).slice(0, maxMovesRead)) {
    const target = await readTag(query, name);
    if (target === held || target instanceof CloneError) return undefined;
    if (target === undefined || from !== shortHex(held)) continue;
    if ((await isGeneration(query, target)) === true) return target;
  }
  return undefined;
}
