import { canonicalReference } from '../image/reference.ts';
import type { CopyProgress, CopyResult, ImageCloner } from '../ports/index.ts';
import type { BackupWrite } from './backup/index.ts';
import type { CloneTask } from './clone-task.ts';
import type { Copies, Copy, CopyKey, Find, Work } from './queue/index.ts';
import type { Report } from './report.ts';

/** Starts what writes into the backup, or joins it. */
export type StartCopy = (
  task: CloneTask,
  digest: string,
  purpose: CopyKey['purpose'],
  work: (write: BackupWrite) => Promise<CopyResult>,
  find?: Find,
) => Copy;

export interface StartCopyDeps {
  readonly cloner: ImageCloner;
  readonly copies: Copies;
  readonly report: Report;
  readonly adoptExisting: boolean;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
}

export function createStartCopy({
  cloner,
  copies,
  report,
  adoptExisting,
  wallClock,
}: StartCopyDeps): StartCopy {
  return (task, digest, purpose, work, find) => {
    const { backup, access, namespace = '', isInteractive = true, credentialNamespace } = task;
    const { domain, path, tag } = backup;
    const target = canonicalReference({ domain, path, tag });
    const log = report.progress(task);
    const key: CopyKey = {
      target,
      sourceDigest: digest,
      purpose,
      namespace,
      isInteractive,
      credentialNamespace,
    };
    const writing: Work = (signal, share) => {
      const onProgress = (progress: CopyProgress): void => {
        share(progress);
        log(progress);
      };
      return report.copy(task, () =>
        work({ cloner, backup, access, adoptExisting, signal, onProgress, wallClock }),
      );
    };
    return copies.start(key, writing, find);
  };
}
