import type { CopyProgress } from '../../ports/index.ts';
import type { DaemonLine } from './json-stream.ts';

/** Adds up what the daemon tells of each layer. */
export interface LayerProgress {
  /** The sum so far, or `undefined` where the line did not change it. */
  add(line: DaemonLine): CopyProgress | undefined;
  /** Bytes of the layers that were really moved. */
  movedBytes(): number;
}

export function createLayerProgress(phase: CopyProgress['phase']): LayerProgress {
  const layers = new Map<string, { done: number; readonly total: number }>();
  const moved = new Set<string>();
  const verb = phase === 'pull' ? 'Downloading' : 'Pushing';
  const finished = phase === 'pull' ? ['Download complete', 'Pull complete'] : ['Pushed'];

  function add({ status, id, progressDetail }: DaemonLine): CopyProgress | undefined {
    const layer = layers.get(id);
    if (status === verb && progressDetail !== undefined && progressDetail !== null) {
      // A push counts tar overhead on top of the total it announced.
      const total = progressDetail.total || (layer?.total ?? 0);
      layers.set(id, { done: Math.min(progressDetail.current, total), total });
    } else if (finished.includes(status) && layer !== undefined) {
      layer.done = layer.total;
      moved.add(id);
    } else {
      return undefined;
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
