/** Runs at most a fixed number of tasks at once; the others wait in the order of arrival. */
export interface Semaphore {
  run<Result>(task: () => Promise<Result>): Promise<Result>;
  /** How many tasks wait. */
  waiting(): number;
}

export function createSemaphore(max: number): Semaphore {
  const queue: (() => void)[] = [];
  let running = 0;

  async function run<Result>(task: () => Promise<Result>): Promise<Result> {
    if (running >= max) {
      // The permit is handed over, so that no new caller takes it in between.
      await new Promise<void>((resolve) => {
        queue.push(resolve);
      });
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
