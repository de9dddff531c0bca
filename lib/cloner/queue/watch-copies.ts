import type { CopyProgress, CopyRequest, ImageCloner } from '../../ports/index.ts';

export interface CopyWatcher {
  progressed(source: CopyRequest['source'], progress: CopyProgress): void;
}

/** The same cloner, which reports the progress of its copies to `watcher`. */
export function watchCopies(cloner: ImageCloner, watcher: CopyWatcher): ImageCloner {
  return {
    ...cloner,
    copy: (request, signal, onProgress) =>
      cloner.copy(request, signal, (progress) => {
        onProgress(progress);
        watcher.progressed(request.source, progress);
      }),
  };
}
