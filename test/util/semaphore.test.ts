import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { mapConcurrently } from '../../lib/util/semaphore.ts';

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
