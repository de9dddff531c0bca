import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createSemaphore, mapConcurrently } from '../../lib/util/semaphore.ts';

describe('mapConcurrently', () => {
  it('starts no further item after one has failed', async () => {
    const started: number[] = [];
    const failure = new Error('the second item fails');

    const mapping = mapConcurrently([1, 2, 3, 4, 5], 1, async (item) => {
      started.push(item);
      await new Promise(setImmediate);
      if (item === 2) throw failure;
    });

    await assert.rejects(mapping, failure);
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    assert.deepEqual(started, [1, 2]);
  });

  it('returns the results in the order of the items', async () => {
    const delays = [3, 1, 2];

    const results = await mapConcurrently(delays, 2, async (turns) => {
      for (let turn = 0; turn < turns; turn += 1) await new Promise(setImmediate);
      return turns;
    });

    assert.deepEqual(results, delays);
  });
});

describe('createSemaphore', () => {
  it('ends the wait of a caller whose signal is aborted, and keeps the places of the others', async () => {
    const semaphore = createSemaphore(1);
    const { promise, resolve } = Promise.withResolvers<void>();
    const leaving = new AbortController();
    const order: string[] = [];
    const note = (name: string) => async (): Promise<void> => void order.push(name);

    const first = semaphore.run(() => promise);
    const second = semaphore.run(note('second'), leaving.signal);
    const third = semaphore.run(note('third'));
    const fourth = semaphore.run(note('fourth'));
    leaving.abort(new Error('I left'));
    await assert.rejects(second, { message: 'I left' });
    assert.equal(semaphore.waiting(), 2);
    resolve();
    await Promise.all([first, third, fourth]);

    assert.deepEqual(order, ['third', 'fourth']);
    assert.equal(semaphore.waiting(), 0);
  });

  it('gives the place of a caller that leaves when its turn comes to no one', async () => {
    const semaphore = createSemaphore(1);
    const { promise, resolve } = Promise.withResolvers<void>();
    const leaving = new AbortController();
    const first = semaphore.run(() => promise);
    const second = semaphore.run(() => Promise.resolve('second'), leaving.signal);
    const third = semaphore.run(() => Promise.resolve('third'));

    resolve();
    await first;
    leaving.abort();

    assert.equal(await second, 'second');
    assert.equal(await third, 'third');
  });
});
