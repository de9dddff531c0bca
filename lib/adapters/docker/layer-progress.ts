import type { CopyProgress } from '../../ports/index.ts';
import type { DaemonLine } from './json-stream.ts';

/** Sums the progress lines of all layers of one pull or push. */
export interface LayerProgress {
  /** Returns the new sum, also for the first line, or `undefined` if the line does not change it. */
  add(line: DaemonLine): CopyProgress | undefined;
  /** Bytes of the layers that were transferred; layers that already existed do not count. */
  movedBytes(): number;
}

export function createLayerProgress(
  phase: CopyProgress['phase'],
  /** Shown until the daemon names the size of a layer. @default unknown */
  expectedBytes = 0,
): LayerProgress {
  let isFirst = true;
  const layers = new Map<string, { done: number; readonly total: number }>();
  const moved = new Set<string>();
  const verb = phase === 'pull' ? 'Downloading' : 'Pushing';
  const finished = phase === 'pull' ? ['Download complete', 'Pull complete'] : ['Pushed'];

  function add({ status, id, progressDetail }: DaemonLine): CopyProgress | undefined {
    const layer = layers.get(id);
    const begins = isFirst;
    isFirst = false;
    if (status === verb && progressDetail !== undefined && progressDetail !== null) {
      // A push reports more bytes than its total, because it counts tar overhead.
      const total = progressDetail.total || (layer?.total ?? 0);
      layers.set(id, { done: Math.min(progressDetail.current, total), total });
    } else if (finished.includes(status) && layer !== undefined) {
      layer.done = layer.total;
      moved.add(id);
    } else {
      return begins ? { phase, doneBytes: 0, totalBytes: expectedBytes } : undefined;
    }
    return { phase, ...sum(layers.values()) };
  }

  return {
    add,
    movedBytes: () => sum([...moved].flatMap((id) => layers.get(id) ?? [])).doneBytes,
  };
}

function sum(layers: Iterable<{ readonly done: number; readonly total: number }>): {
  readonly doneBytes: number;
  readonly totalBytes: number;
} {
  let [doneBytes, totalBytes] = [0, 0];
  for (const { done, total } of layers) {
    doneBytes += done;
    totalBytes += total;
  }
  return { doneBytes, totalBytes };
}
