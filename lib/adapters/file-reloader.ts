import type { Logger } from '../ports/index.ts';
import { monotonicClock } from '../util/clock.ts';

/** Reports whether the value in use is stale, because its file can no longer be read. */
export type OnStale = (isStale: boolean) => void;

/** How a reloader reports a file that it can no longer read. */
export interface ReloadReports {
  readonly logger: Logger;
  readonly onStale?: OnStale | undefined;
  /** Milliseconds of a monotonic clock. */
  readonly now?: (() => number) | undefined;
}

export interface FileReloaderOptions<Value> extends ReloadReports {
  /** The subject of log messages. */
  readonly what: 'credentials' | 'certificates';
  /** Path for the log. */
  readonly name: string;
  readonly read: () => Promise<Value>;
}

/** A review makes several calls, and a read costs more than the rest of its work. */
const freshMs = 1_000;

/**
 * Reads a file at a call if the last read is a second old. If a read fails, the last valid value stays in use, and the log says so
 * once. Rejects if the first read fails.
 */
export async function createFileReloader<Value>({
  what,
  name,
  read,
  logger,
  onStale,
  now = monotonicClock.now,
}: FileReloaderOptions<Value>): Promise<() => Promise<Value>> {
  let value = await read();
  let readAt = now();
  let reading: Promise<Value> | undefined;
  let isStale = false;
  onStale?.(false);

  function setStale(stale: boolean): void {
    isStale = stale;
    onStale?.(stale);
  }

  async function reload(): Promise<Value> {
    readAt = now();
    try {
      value = await read();
      if (isStale) {
        setStale(false);
        logger.info({ name }, `${what} can be read again`);
      }
    } catch (error) {
      if (!isStale) {
        setStale(true);
        const message = `${what} cannot be read, the last valid ones stay in use`;
        logger.warn({ name, err: error }, message);
      }
    }
    reading = undefined;
    return value;
  }

  return async () => {
    if (reading === undefined && now() - readAt < freshMs) return value;
    reading ??= reload();
    return await reading;
  };
}
