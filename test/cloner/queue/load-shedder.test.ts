import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createLoadShedder } from '../../../lib/cloner/queue/load-shedder.ts';

interface Stage {
  /** Comes, and stays until it is sent away or `end` is called. */
  come(namespace: string): { readonly stayed: Promise<string>; readonly end: () => void };
}

function stage(max: number): Stage {
  const crowd = createLoadShedder(max);
  const { signal: never } = new AbortController();
  return {
    come(namespace) {
      const { promise, resolve, reject } = Promise.withResolvers<string>();
      const stayed = crowd.run(namespace, never, async (signal) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
        return await promise;
      });
      stayed.catch(() => undefined);
      return { stayed, end: () => resolve(namespace) };
    },
  };
}

const isFull = (size: number, namespace: string): object => ({
  code: 'LINE_FULL',
  message: `too many images at once: 4 are in progress, ${size} of them for namespace ${namespace}`,
  retryAfterMs: 2_000,
});

describe('createLoadShedder', () => {
  it('lets one namespace have all places, and no more', async () => {
    const { come } = stage(4);
    const inside = Array.from({ length: 4 }, () => come('a'));

    await assert.rejects(come('a').stayed, isFull(4, 'a'));

    for (const { end } of inside) end();
    assert.deepEqual(await Promise.all(inside.map(({ stayed }) => stayed)), ['a', 'a', 'a', 'a']);
  });

  it('has the namespace with the most make room, by the latest that it has', async () => {
    const { come } = stage(4);
    const inside = Array.from({ length: 4 }, () => come('a'));

    const other = come('b');

    await assert.rejects(inside[3]?.stayed ?? Promise.resolve(), isFull(4, 'a'));
    for (const { end } of [...inside, other]) end();
    assert.equal(await other.stayed, 'b');
    assert.equal(await inside[2]?.stayed, 'a');
  });

  it('gives each of two namespaces its half', async () => {
    const { come } = stage(4);
    for (let n = 0; n < 4; n += 1) come('a');
    come('b');
    const second = come('b');

    await assert.rejects(come('b').stayed, isFull(2, 'b'));
    await assert.rejects(come('a').stayed, isFull(2, 'a'));

    second.end();
    assert.equal(await second.stayed, 'b');
  });

  it('has room again when somebody leaves, however that was', async () => {
    const { come } = stage(1);
    const first = come('a');
    first.end();
    await first.stayed;

    const second = come('a');
    second.end();

    assert.equal(await second.stayed, 'a');
  });

  it('ends with the signal of the one who came', async () => {
    const leaving = new AbortController();
    const left = createLoadShedder(1).run('a', leaving.signal, async (signal) => {
      leaving.abort(new Error('gone'));
      signal.throwIfAborted();
      return await Promise.resolve('stayed');
    });

    await assert.rejects(left, { message: 'gone' });
  });
});
