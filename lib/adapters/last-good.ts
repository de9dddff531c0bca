import type { Logger } from '../ports.ts';

export interface LastGoodOptions<Value> {
  /** For the log: what is read. */
  readonly what: 'credentials' | 'certificates';
  /** For the log: where. */
  readonly name: string;
  readonly read: () => Promise<Value>;
  readonly logger: Logger;
}

/**
 * Reads something that may change on disk each time it is asked for; when it is gone or broken, what was read last stays in
 * use, and the log says so once. Rejects when even the first read fails.
 */
export async function createLastGood<Value>({
  what,
  name,
  read,
  logger,
}: LastGoodOptions<Value>): Promise<() => Promise<Value>> {
  let good = await read();
  let isBroken = false;

  return async () => {
    try {
      good = await read();
      if (isBroken) logger.info({ name }, `${what} can be read again`);
      isBroken = false;
    } catch (error) {
      if (!isBroken)
        logger.warn({ name, err: error }, `${what} cannot be read, the last good ones stay in use`);
      isBroken = true;
    }
    return good;
  };
}
