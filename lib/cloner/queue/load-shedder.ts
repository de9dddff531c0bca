import { CloneError } from '../../errors.ts';
import { addTo, chooseEviction, removeFrom } from './eviction.ts';

/** Bounds the number of images that are processed at once. */
export interface LoadShedder {
  /**
   * Runs `work`. At the limit it aborts the newest work of the namespace with the most, or rejects this one if its own
   * namespace has the most: both with `CloneError` `LINE_FULL`.
   */
  run<Result>(
    namespace: string,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<Result>,
  ): Promise<Result>;
}

/**
 * While a registry does not answer, each image costs connections and about 150 KiB. One object can name 200 images, and a pod
 * has 512 MiB.
 */
const defaultMax = 1_000;
const retryAfterMs = 2_000;

export function createLoadShedder(max = defaultMax): LoadShedder {
  const running = new Map<string, Set<AbortController>>();
  let size = 0;

  function makeRoom(namespace: string): void {
    const evicted = chooseEviction(running, namespace);
    if (evicted === undefined) throw toFull(namespace, running.get(namespace)?.size ?? 0);
    remove(evicted.namespace, evicted.entry);
    evicted.entry.abort(toFull(evicted.namespace, evicted.size));
  }

  function remove(namespace: string, controller: AbortController): void {
    if (running.get(namespace)?.has(controller) !== true) return;
    removeFrom(running, namespace, controller);
    size -= 1;
  }

  function toFull(namespace: string, count: number): CloneError {
    const own = namespace === '' ? '' : `, ${count} of them for namespace ${namespace}`;
    const message = `too many images at once: ${max} are in progress${own}`;
    return new CloneError('LINE_FULL', message, { retryAfterMs });
  }

  return {
    async run(namespace, signal, work) {
      if (size >= max) makeRoom(namespace);
      const controller = new AbortController();
      addTo(running, namespace, controller);
      size += 1;
      try {
        return await work(AbortSignal.any([signal, controller.signal]));
      } finally {
        remove(namespace, controller);
      }
    },
  };
}
