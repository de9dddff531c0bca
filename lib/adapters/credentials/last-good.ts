import type { Logger } from '../../ports.ts';

export interface LastGoodOptions<Value> {
  /** For the log: what is read, and where. */
  readonly name: string;
  readonly read: () => Promise<Value>;
  readonly logger: Logger;
}

/**
 * Reads something that may change on disk each time it is asked for; when it is gone or broken, what was read last stays in
 * use, and the log says so once. Rejects when even the first read fails.
 */
export async function createLastGood<Value>({
  name,
  read,
  logger,
}: LastGoodOptions<Value>): Promise<() => Promise<Value>> {
  let good = await read();
  let isBroken = false;

  return async () => {
    try {
      good = await read();
      if (isBroken) logger.info({ name }, 'credentials can be read again');
      isBroken = false;
    } catch (error) {
      if (!isBroken)
        logger.warn(
          { name, err: error },
          'credentials cannot be read, the last good ones stay in use',
        );
      isBroken = true;
    }
    return good;
  };
}
