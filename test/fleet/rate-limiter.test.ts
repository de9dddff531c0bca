import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createRateLimiter } from '../../lib/fleet/rate-limiter.ts';

describe('createRateLimiter', () => {
  it('lets the first go at once and keeps the others apart, work in between included', async () => {
    let clock = 1_000;
    const slept: number[] = [];
    const pace = createRateLimiter({
      perMinute: 12,
      now: () => clock,
      sleep: async (ms) => {
        slept.push(ms);
        clock += ms;
        await Promise.resolve();
      },
    });
    const { signal } = new AbortController();

    await pace(signal);
    clock += 2_000;
    await pace(signal);
    clock += 60_000;
    await pace(signal);
    await pace(signal);

    assert.deepEqual(slept, [3_000, 5_000]);
  });
});
