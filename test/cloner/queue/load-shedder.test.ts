import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createLoadShedder } from '../../../lib/cloner/queue/load-shedder.ts';

interface Fixture {
  /** Starts work that runs until it is evicted or `end` is called. */
  start(namespace: string): { readonly result: Promise<string>; readonly end: () => void };
}

function createFixture(max: number): Fixture {
  const shedder = createLoadShedder(max);
  const { signal: neverAborted } = new AbortController();
  return {
    start(namespace) {
      const { promise, resolve, reject } = Promise.withResolvers<string>();
      const result = shedder.run(namespace, neverAborted, async (signal) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
        return await promise;
      });
      result.catch(() => undefined);
      return { result, end: () => resolve(namespace) };
    },
  };
}

const isFull = (size: number, namespace: string): object => ({
  code: 'LINE_FULL',
  message: `too many images at once: 4 are in progress, ${size} of them for namespace ${namespace}`,
  retryAfterMs: 2_000,
});

describe('createLoadShedder', () => {
  it('lets one namespace look up images up to the limit and rejects its next image', async () => {
    const { start } = createFixture(4);
    const running = Array.from({ length: 4 }, () => start('a'));

    await assert.rejects(start('a').result, isFull(4, 'a'));

    for (const { end } of running) end();
    assert.deepEqual(await Promise.all(running.map(({ result }) => result)), ['a', 'a', 'a', 'a']);
  });

  it('aborts the newest lookup of the namespace with the most lookups when another namespace arrives', async () => {
    const { start } = createFixture(4);
    const running = Array.from({ length: 4 }, () => start('a'));

    const other = start('b');

    await assert.rejects(running[3]?.result ?? Promise.resolve(), isFull(4, 'a'));
    for (const { end } of [...running, other]) end();
    assert.equal(await other.result, 'b');
    assert.equal(await running[2]?.result, 'a');
  });

  it('shares the limit of lookups equally between two namespaces', async () => {
    const { start } = createFixture(4);
    for (let n = 0; n < 4; n += 1) start('a');
    start('b');
    const second = start('b');

    await assert.rejects(start('b').result, isFull(2, 'b'));
    await assert.rejects(start('a').result, isFull(2, 'a'));

    second.end();
    assert.equal(await second.result, 'b');
  });

  it('accepts new lookups at the limit after earlier lookups have ended', async () => {
    const { start } = createFixture(1);
    const first = start('a');
    first.end();
    await first.result;

    const second = start('a');
    second.end();

    assert.equal(await second.result, 'a');
  });

  it('aborts a lookup when the signal of its caller is aborted', async () => {
    const caller = new AbortController();
    const aborted = createLoadShedder(1).run('a', caller.signal, async (signal) => {
      caller.abort(new Error('gone'));
      signal.throwIfAborted();
      return await Promise.resolve('completed');
    });

    await assert.rejects(aborted, { message: 'gone' });
  });
});
