import type { Logger } from '../ports/index.ts';

/** Told of what is read whether it is out of date by now: it cannot be read any more. */
export type OnStale = (isStale: boolean) => void;

export interface FileReloaderOptions<Value> {
  /** For the log: what is read. */
  readonly what: 'credentials' | 'certificates';
  /** For the log: where. */
  readonly name: string;
  readonly read: () => Promise<Value>;
  readonly logger: Logger;
  readonly onStale?: OnStale | undefined;
}

/**
 * Reads something that may change on disk each time it is asked for; when it is gone or broken, what was read last stays in
 * use, and the log says so once. Rejects when even the first read fails.
 */
export async function createFileReloader<Value>({
  what,
  name,
  read,
  logger,
  onStale,
}: FileReloaderOptions<Value>): Promise<() => Promise<Value>> {
  let good = await read();
  let isStale = false;
  onStale?.(false);

  function tell(stale: boolean): void {
    isStale = stale;
    onStale?.(stale);
  }

  return async () => {
    try {
      good = await read();
      if (isStale) {
        tell(false);
        logger.info({ name }, `${what} can be read again`);
      }
    } catch (error) {
      if (!isStale) {
        tell(true);
        logger.warn({ name, err: error }, `${what} cannot be read, the last good ones stay in use`);
      }
    }
    return good;
  };
}
