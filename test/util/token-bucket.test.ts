import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createTokenBucket } from '../../lib/util/token-bucket.ts';

describe('createTokenBucket', () => {
  it('allows a burst, then one use per period, and never more than the burst', () => {
    let at = 0;
    const bucket = createTokenBucket({ capacity: 2, refillMs: 1_000, now: () => at });
    const take = (count: number): readonly boolean[] =>
      Array.from({ length: count }, () => bucket.take());

    assert.deepEqual(take(3), [true, true, false]);
    at = 999;
    assert.deepEqual(take(1), [false]);
    at = 1_500;
    assert.deepEqual(take(2), [true, false]);
    at = 2_000;
    assert.deepEqual(take(2), [true, false]);
    at = 60_000;
    assert.deepEqual(take(3), [true, true, false]);
  });
});
