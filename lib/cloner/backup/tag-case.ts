import { CloneError } from '../../errors.ts';
import { formatReference } from '../../image/reference.ts';
import { caseTag, isCaseTag } from '../../image/tags.ts';
import type { BackupQuery } from './read-backup.ts';

/**
 * Which spelling has the plain tag. In a registry whose tags have no case (Gitea lists them in lower case), `v1-Alpine` and
 * `v1-alpine` are one tag, and a marker records the spelling with capitals; `unclaimed`: there is no marker.
 */
type Spelling = 'own' | 'other' | 'unclaimed';

/** @param names every tag that the registry lists */
export function spellingOf(names: readonly string[], tag: string): Spelling {
  const own = caseTag(tag);
  if (names.some((name) => isCaseTag(name, tag) && name !== own)) return 'other';
  return isFolded(names, tag) && !names.includes(own) ? 'unclaimed' : 'own';
}

/** Records the spelling of a tag before the tag exists. Throws if the tag exists and may belong to another spelling. */
export async function claimSpelling(
  { cloner, backup, access, signal }: BackupQuery,
  names: readonly string[],
  { exists }: { readonly exists: boolean },
): Promise<void> {
  const spelling = spellingOf(names, backup.tag);
  if (spelling === 'own') return;
  if (spelling === 'other' || exists) {
    const { domain, path, tag } = backup;
    throw new CloneError(
      'BACKUP_NOT_OURS',
      `${formatReference({ domain, path, tag })} in the backup belongs to a tag that differs only in case, which the registry does not distinguish: use another tag, or another registry for the backup`,
    );
  }
  await cloner.mark?.(backup, [caseTag(backup.tag)], access, signal);
}

/** Whether a tag with capitals is listed in lower case, and only so. */
function isFolded(names: readonly string[], tag: string): boolean {
  const lower = tag.toLowerCase();
  if (lower === tag) return false;
  const isListed = (prefix: string): boolean =>
    names.some((name) => name === prefix || name.startsWith(`${prefix}.`));
  return isListed(lower) && !isListed(tag);
}
