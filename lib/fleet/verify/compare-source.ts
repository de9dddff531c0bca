import { type BackupQuery, readNamed } from '../../cloner/backup/index.ts';
import type { CheckSource } from '../../cloner/source/index.ts';
import { isFailureOf } from '../../errors.ts';
import type { Reference } from '../../image/reference.ts';
import { provenanceTag } from '../../image/tags.ts';
import type { PullSecretRefs } from '../../ports/index.ts';
import type { SourceState } from './verification.ts';

/** A source has this long. Nothing depends on it. */
const budgetMs = 10_000;

/** What the source has under the original name, compared with the copy. */
export async function compareSource(
  checkSource: CheckSource,
  original: Reference,
  copy: { readonly query: BackupQuery; readonly digest: string },
  pod: PullSecretRefs | undefined,
): Promise<SourceState> {
  const { query, digest } = copy;
  const { signal } = query;
  try {
    const options = { budgetMs, hasBackup: false, pod, isInteractive: false, signal };
    const checked = await checkSource(original, options);
    return (await isMadeOf(query, digest, checked.digest)) ? 'same' : 'moved';
  } catch (error) {
    signal.throwIfAborted();
    if (isFailureOf('source', error, ['NOT_FOUND'])) return 'gone';
    if (isFailureOf('source', error) || isFailureOf('backup', error)) return 'unclear';
    throw error;
  }
}

/** A copy with another digest than its source has a tag that records it, whatever cloner made it. */
async function isMadeOf(
  query: BackupQuery,
  digest: string,
  sourceDigest: string,
): Promise<boolean> {
  if (digest === sourceDigest) return true;
  const tag = provenanceTag(query.backup.tag, sourceDigest);
  return (await readNamed(query, { tag })) === digest;
}
