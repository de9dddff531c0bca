import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  createNegativeCache,
  type NegativeCache,
} from '../../../lib/cloner/registry-health/negative-cache.ts';
import { CloneError } from '../../../lib/index.ts';

/** Remembers a failure again each time its pause has ended. */
function failTimes(
  times: number,
  cache: NegativeCache,
  at: (ms: number) => void,
  error: CloneError = gone,
): number {
  let time = 0;
  for (let round = 0; round < times; round += 1) {
    cache.remember('nginx', error);
    if (round === times - 1) break;
    while (cache.recall('nginx', false) !== undefined) at((time += 1_000));
  }
  return time;
}

const gone = new CloneError('SOURCE_NOT_FOUND', 'nginx:9 does not exist on docker.io');

describe('createNegativeCache', () => {
  it('returns a remembered failure to a controller for 2 s, 4 s, 8 s and so on, 5 minutes at most', () => {
    let time = 0;
    const cache = createNegativeCache({ now: () => time });
    const pauses: number[] = [];
    for (let round = 0; round < 10; round += 1) {
      cache.remember('nginx', gone);
      const since = time;
      while (cache.recall('nginx', false) !== undefined) time += 1_000;
      pauses.push((time - since) / 1_000);
    }

    assert.deepEqual(pauses, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
  });

  it('does not remember a failure under a key longer than 16 KiB', () => {
    const cache = createNegativeCache({ now: () => 0 });
    const [long, enormous] = ['x'.repeat(16_000), 'x'.repeat(17_000)];
    cache.remember(long, gone);
    cache.remember(enormous, gone);

    assert.equal(cache.recall(long, false)?.code, 'SOURCE_NOT_FOUND');
    assert.equal(cache.recall(enormous, false), undefined);
  });

  it('returns a remembered failure with its age and the time of the next attempt', () => {
    let time = 0;
    const cache = createNegativeCache({ now: () => time });
    failTimes(4, cache, (ms) => (time = ms));
    time += 12_000;

    const answer = cache.recall('nginx', false);

    assert.equal(answer?.code, 'SOURCE_NOT_FOUND');
    assert.equal(
      answer.message,
      'nginx:9 does not exist on docker.io; tried 12 s ago, next attempt in 4 s',
    );
    assert.equal(answer.retryAfterMs, 4_000);
  });

  it('returns no remembered failure to an interactive request', () => {
    const cache = createNegativeCache({ now: () => 0 });
    cache.remember('nginx', gone);

    assert.equal(cache.recall('nginx', true), undefined);
  });

  it('remembers failures of the backup, outages and cloner failures for at most 30 s', () => {
    for (const code of ['BACKUP_REFUSED', 'SOURCE_UNAVAILABLE', 'CLONER_UNAVAILABLE'] as const) {
      let time = 0;
      const cache = createNegativeCache({ now: () => time });
      const since = failTimes(10, cache, (ms) => (time = ms), new CloneError(code, 'no'));
      time = since + 29_999;
      assert.match(cache.recall('nginx', false)?.message ?? '', /next attempt in 1 s$/);
      time = since + 30_000;
      assert.equal(cache.recall('nginx', false), undefined);
    }
  });

  it('counts concurrent failures once and does not extend their pause for an interactive failure', () => {
    let time = 0;
    const cache = createNegativeCache({ now: () => time });
    for (let i = 0; i < 20; i += 1) cache.remember('nginx', gone);
    time = 1_000;
    cache.remember('nginx', gone);

    assert.match(
      cache.recall('nginx', false)?.message ?? '',
      /tried 1 s ago, next attempt in 1 s$/,
    );
  });

  it('drops a remembered failure on forget and starts with two seconds again', () => {
    let time = 0;
    const cache = createNegativeCache({ now: () => time });
    failTimes(3, cache, (ms) => (time = ms));
    cache.forget('nginx');
    assert.equal(cache.recall('nginx', false), undefined);

    cache.remember('nginx', gone);

    assert.match(cache.recall('nginx', false)?.message ?? '', /next attempt in 2 s$/);
  });

  it('remembers a failure for two seconds again after a long time without one', () => {
    let time = 0;
    const cache = createNegativeCache({ now: () => time });
    failTimes(3, cache, (ms) => (time = ms));
    time = 600_000;

    cache.remember('nginx', gone);

    assert.match(cache.recall('nginx', false)?.message ?? '', /next attempt in 2 s$/);
  });

  it('evicts the oldest remembered failure beyond maxEntries', () => {
    const cache = createNegativeCache({ now: () => 0, maxEntries: 2 });
    for (const key of ['a', 'b', 'c']) cache.remember(key, gone);

    const held = ['a', 'b', 'c'].filter((key) => cache.recall(key, false) !== undefined);

    assert.deepEqual(held, ['b', 'c']);
  });
});
