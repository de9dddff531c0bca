import { formatReference } from '../image/reference.ts';
import type { ImageCloner, Logger } from '../ports/index.ts';
import {
  type IntegrityCheck,
  planCopy,
  planWhole,
  type Referrers,
  repairBackup,
} from './backup/index.ts';
import {
  type CloneTask,
  toBackgroundQuery,
  toReferrersRequest,
  waitForReferrers,
} from './clone-task.ts';
import type { CopyResult } from './queue/index.ts';
import type { CheckedSource } from './source/index.ts';
import type { StartCopy } from './start-copy.ts';

/**
 * Copies again, behind the answer, the parts of an image that the backup has lost, and signatures that are newer than the copy.
 * Resolves with warnings about signatures, for which only a command waits.
 */
export type CheckParts = (
  task: CloneTask,
  checked: CheckedSource,
  digest: string,
) => Promise<readonly string[]>;

export interface CheckPartsDeps {
  readonly cloner: ImageCloner;
  readonly integrity: Pick<IntegrityCheck, 'checkLater'>;
  readonly referrers: Referrers;
  readonly startCopy: StartCopy;
  readonly logger: Pick<Logger, 'info'>;
}

export function createCheckParts(deps: CheckPartsDeps): CheckParts {
  const { cloner, integrity, referrers, startCopy, logger } = deps;

  return async (task, checked, digest) => {
    const request = toReferrersRequest(task, checked);
    const copyAgain = async (): Promise<readonly string[]> =>
      // Signatures name the digest of the source.
      checked.digest === digest ? await referrers.copyAgain(request, task.namespace) : [];
    const isCommand = task.referrersWaitMs !== undefined;
    integrity.checkLater(toBackgroundQuery(task, cloner), digest, {
      repair: () => repair(task, checked, digest),
      refresh: async () => (isCommand ? [] : await copyAgain()),
    });
    return isCommand ? await waitForReferrers(copyAgain(), task) : [];
  };

  async function repair(task: CloneTask, checked: CheckedSource, digest: string): Promise<void> {
    const { source, backup, uid, namespace } = task;
    const copy = startCopy(task, checked.digest, 'repair', async (write) => {
      const isWhole = checked.digest === digest;
      const plan = isWhole ? planWhole(write, digest) : await planCopy(write, source, checked);
      const copyImage = (): Promise<CopyResult> => repairBackup(write, source, checked, plan);
      if (!isWhole) return await copyImage();
      return await referrers.copyBehind(toReferrersRequest(task, checked), namespace, copyImage);
    });
    const { bytes } = (await copy.wait(new AbortController().signal)) ?? {};
    const fields = { uid, backup: formatReference(backup), digest, bytes };
    logger.info(fields, 'backup repaired');
  }
}
