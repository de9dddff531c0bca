import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createRateLimiter } from '../../lib/fleet/rate-limiter.ts';

describe('createRateLimiter', () => {
  it('starts the first write at once and the others one interval apart, the work in between included', async () => {
    let clock = 1_000;
    const slept: number[] = [];
    const rateLimiter = createRateLimiter({
      perMinute: 12,
      now: () => clock,
      sleep: async (ms) => {
        slept.push(ms);
        clock += ms;
        await Promise.resolve();
      },
    });
    const { signal } = new AbortController();

    await rateLimiter.wait(signal);
    clock += 2_000;
    await rateLimiter.wait(signal);
    clock += 60_000;
    await rateLimiter.wait(signal);
    await rateLimiter.wait(signal);

    assert.deepEqual(slept, [3_000, 5_000]);
  });
});
