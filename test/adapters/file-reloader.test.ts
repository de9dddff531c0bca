import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createFileReloader } from '../../lib/adapters/file-reloader.ts';
import { createMemoryLog } from '../support/memory-log.ts';

describe('createFileReloader', () => {
  it('reads a file at most once a second, and once for concurrent calls', async () => {
    let time = 0;
    let reads = 0;
    const read = async (): Promise<number> => {
      reads += 1;
      return await Promise.resolve(reads);
    };
    const { logger } = createMemoryLog();
    const name = '/auth/password';
    const reload = await createFileReloader({
      what: 'credentials',
      name,
      read,
      logger,
      now: () => time,
    });

    const fresh = [await reload(), await reload()];
    time = 999;
    const young = await reload();
    time = 1_000;
    const old = await Promise.all([reload(), reload()]);

    assert.deepEqual([fresh, young, old], [[1, 1], 1, [2, 2]]);
    assert.equal(reads, 2);
  });
});
