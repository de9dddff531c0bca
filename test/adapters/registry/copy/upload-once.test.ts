import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createUploadOnce } from '../../../../lib/adapters/registry/copy/upload-once.ts';

const { signal } = new AbortController();

describe('createUploadOnce', () => {
  it('runs concurrent uploads of one blob once, and a later upload again', async () => {
    const once = createUploadOnce();
    let uploads = 0;
    const upload = async (): Promise<number> => {
      uploads += 1;
      return await Promise.resolve(7);
    };

    const moved = await Promise.all(['a', 'a', 'b', 'a'].map((key) => once(key, signal, upload)));

    assert.deepEqual([moved, uploads], [[7, 0, 7, 0], 2]);
    assert.equal(await once('a', signal, upload), 7);
  });

  it('runs the next upload of a blob after one failed', async () => {
    const once = createUploadOnce();
    let uploads = 0;
    const upload = async (): Promise<number> => {
      uploads += 1;
      await Promise.resolve();
      if (uploads < 3) throw new RangeError(`no ${uploads}`);
      return 7;
    };

    const ended = await Promise.allSettled([1, 2, 3, 4].map(() => once('a', signal, upload)));

    assert.equal(uploads, 3);
    assert.deepEqual(
      ended.map(({ status }) => status),
      ['rejected', 'rejected', 'fulfilled', 'fulfilled'],
    );
  });

  it('ends the wait for an upload of another caller when its signal aborts', async () => {
    const once = createUploadOnce();
    const running = Promise.withResolvers<number>();
    const first = once('a', signal, () => running.promise);
    const leaving = new AbortController();
    const second = once('a', leaving.signal, () => Promise.resolve(1));
    const reason = new Error('enough');

    leaving.abort(reason);

    await assert.rejects(second, reason);
    running.resolve(7);
    assert.equal(await first, 7);
  });
});
