/** One holder per key at a time, in the order of arrival. */
export interface KeyedMutex {
  /** Resolves with the function that releases the key, once all earlier holders have released it. */
  acquire(key: string): Promise<() => void>;
  /** Runs `task` while it holds the key. */
  run<Result>(key: string, task: () => Promise<Result>): Promise<Result>;
}

export function createKeyedMutex(): KeyedMutex {
  /** Resolves when the last queued holder has released the key. */
  const free = new Map<string, Promise<void>>();

  async function acquire(key: string): Promise<() => void> {
    const before = free.get(key);
    const { promise: released, resolve } = Promise.withResolvers<void>();
    free.set(key, released);
    await before;
    return () => {
      if (free.get(key) === released) free.delete(key);
      resolve();
    };
  }

  return {
    acquire,
    async run(key, task) {
      const release = await acquire(key);
      try {
        return await task();
      } finally {
        release();
      }
    },
  };
}
