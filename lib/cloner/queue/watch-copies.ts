import type { CopyProgress, CopyRequest, ImageCloner } from '../../ports/index.ts';

/** Who watches copies: for a person in front of a terminal. */
export interface CopyWatcher {
  progressed(source: CopyRequest['source'], progress: CopyProgress): void;
}

/** The same cloner, whose copies are watched as they advance. */
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
