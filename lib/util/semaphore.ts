/** Runs at most a fixed number of tasks at once; the others wait in the order of arrival. */
export interface Semaphore {
  /** @param signal ends the wait for a turn, with its reason, and not the task */
  run<Result>(task: () => Promise<Result>, signal?: AbortSignal): Promise<Result>;
  /** How many tasks wait. */
  waiting(): number;
}

export function createSemaphore(max: number): Semaphore {
  const queue: (() => void)[] = [];
  let running = 0;

  async function waitForTurn(signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const leave = (): void => {
      const place = queue.indexOf(resolve);
      if (place === -1) return;
      queue.splice(place, 1);
      reject(signal?.reason);
    };
    queue.push(resolve);
    signal?.addEventListener('abort', leave, { once: true });
    await promise;
    signal?.removeEventListener('abort', leave);
  }

  async function run<Result>(task: () => Promise<Result>, signal?: AbortSignal): Promise<Result> {
    signal?.throwIfAborted();
    if (running >= max) {
      // The permit is handed over, so that no new caller takes it in between.
      await waitForTurn(signal);
    } else {
      running += 1;
    }
    try {
      return await task();
    } finally {
      const next = queue.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  }

  return { run, waiting: () => queue.length };
}

/**
 * Maps `items` with at most `max` calls at once; the results are in the order of the items. Rejects with the first failure, after which
 * no further call starts.
 */
export async function mapConcurrently<Item, Result>(
  items: readonly Item[],
  max: number,
  work: (item: Item) => Promise<Result>,
): Promise<readonly Result[]> {
  const semaphore = createSemaphore(max);
  const failed = new AbortController();

  async function workOn(item: Item): Promise<Result> {
    failed.signal.throwIfAborted();
    try {
      return await work(item);
    } catch (error) {
      failed.abort(error);
      throw error;
    }
  }

  return await Promise.all(items.map((item) => semaphore.run(() => workOn(item))));
}
