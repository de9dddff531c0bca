import type { Logger } from '../ports/index.ts';

/** Reports whether the value in use is stale, because its file can no longer be read. */
export type OnStale = (isStale: boolean) => void;

export interface FileReloaderOptions<Value> {
  /** The subject of log messages. */
  readonly what: 'credentials' | 'certificates';
  /** Path for the log. */
  readonly name: string;
  readonly read: () => Promise<Value>;
  readonly logger: Logger;
  readonly onStale?: OnStale | undefined;
}

/**
 * Reads a file at each call. If a read fails, the last valid value stays in use, and the log says so once.
 * Rejects if the first read fails.
 */
export async function createFileReloader<Value>({
  what,
  name,
  read,
  logger,
  onStale,
}: FileReloaderOptions<Value>): Promise<() => Promise<Value>> {
  let value = await read();
  let isStale = false;
  onStale?.(false);

  function setStale(stale: boolean): void {
    isStale = stale;
    onStale?.(stale);
  }

  return async () => {
    try {
      value = await read();
      if (isStale) {
        setStale(false);
        logger.info({ name }, `${what} can be read again`);
      }
    } catch (error) {
      if (!isStale) {
        setStale(true);
        logger.warn(
          { name, err: error },
          `${what} cannot be read, the last valid ones stay in use`,
        );
      }
    }
    return value;
  };
}
