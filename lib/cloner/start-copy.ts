import { canonicalReference } from '../image/reference.ts';
import type { CopyProgress, ImageCloner } from '../ports/index.ts';
import type { Backoff } from '../util/backoff.ts';
import type { BackupWrite, ImmutableTags } from './backup/index.ts';
import type { CloneTask } from './clone-task.ts';
import type { Copies, Copy, CopyKey, CopyResult, Find, Work } from './queue/index.ts';
import type { Report } from './report.ts';

/** Starts work that writes to the backup, or joins it if it runs already. */
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
  readonly immutableTags: ImmutableTags;
  readonly backoff: Backoff;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
}

export function createStartCopy({ copies, report, ...context }: StartCopyDeps): StartCopy {
  return (task, digest, purpose, work, find) => {
    const { backup, access, namespace = '', isInteractive = true, credentialNamespace } = task;
    const { domain, path, tag } = backup;
    const key: CopyKey = {
      target: canonicalReference({ domain, path, tag }),
      sourceDigest: digest,
      purpose,
      namespace,
      isInteractive,
      credentialNamespace,
    };
    const log = report.progress(task);
    const writing: Work = (signal, share) => {
      const onProgress = (progress: CopyProgress): void => {
        share(progress);
        log(progress);
      };
      return report.copy(task, () => work({ ...context, backup, access, signal, onProgress }));
    };
    return copies.start(key, writing, find);
  };
}
