import { statSync } from 'node:fs';
import type { Logger } from '../ports/index.ts';

/** Reports whether the value in use is stale, because its file can no longer be read. */
export type OnStale = (isStale: boolean) => void;

/** How a reloader reports a file that it can no longer read. */
export interface ReloadReports {
  readonly logger: Logger;
  readonly onStale?: OnStale | undefined;
}

export interface FileReloaderOptions<Value> extends ReloadReports {
  /** The subject of log messages. */
  readonly what: 'credentials' | 'certificates';
  /** Path for the log. */
  readonly name: string;
  /** The files that `read` reads, if they exist. */
  readonly files: readonly string[];
  readonly read: () => Promise<Value>;
}

/**
 * Reads files at a call if they have changed since the last one. If a read fails, the last valid value stays in use, and the log says
 * so once. Rejects if the first read fails.
 */
export async function createFileReloader<Value>({
  what,
  name,
  files,
  read,
  logger,
  onStale,
}: FileReloaderOptions<Value>): Promise<() => Promise<Value>> {
  let version = files.map(versionOf).join();
  let value = await read();
  let isStale = false;
  onStale?.(false);

  function setStale(stale: boolean): void {
    isStale = stale;
    onStale?.(stale);
  }

  return async () => {
    const current = files.map(versionOf).join();
    if (current === version && !isStale) return value;
    try {
      value = await read();
      version = current;
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
    return value;
  };
}

/**
 * The kubelet replaces a symbolic link, so the inode changes. Not asynchronous: each request to a registry asks, and the thread pool
 * takes a hundred times as long as the file system.
 */
function versionOf(file: string): string {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
  } catch {
    // Reading the file reports the error.
    return '';
  }
}
