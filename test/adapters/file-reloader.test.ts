import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { createFileReloader } from '../../lib/adapters/file-reloader.ts';
import { createMemoryLog } from '../support/memory-log.ts';

describe('createFileReloader', () => {
  it('reads files again only when one of them has changed', async (t) => {
    const dir = await mkdtemp(join(tmpdir(), 'reload-'));
    t.after(() => rm(dir, { recursive: true }));
    const files = ['one', 'two'].map((name) => join(dir, name));
    const [one = '', two = ''] = files;
    await writeFile(one, 'a');
    let reads = 0;
    const read = async (): Promise<number> => {
      reads += 1;
      return await Promise.resolve(reads);
    };
    const { logger } = createMemoryLog();
    const options = { what: 'credentials', name: dir, files, read, logger } as const;
    const reload = await createFileReloader(options);

    const unchanged = [await reload(), await reload()];
    await writeFile(one, 'other');
    const changed = [await reload(), await reload()];
    await writeFile(two, 'new');
    const added = [await reload(), await reload()];
    await rm(one);
    const removed = [await reload(), await reload()];

    assert.deepEqual(
      [unchanged, changed, added, removed],
      [
        [1, 1],
        [2, 2],
        [3, 3],
        [4, 4],
      ],
    );
  });
});
