import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  createNegativeCache,
  type NegativeCache,
} from '../../../lib/cloner/registry-health/negative-cache.ts';
import { CloneError } from '../../../lib/index.ts';

/** Fails again and again, each time as soon as it is tried. */
function failTimes(
  times: number,
  memory: NegativeCache,
  at: (ms: number) => void,
  error: CloneError = gone,
): number {
  let time = 0;
  for (let round = 0; round < times; round += 1) {
    memory.remember('nginx', error);
    if (round === times - 1) break;
    while (memory.recall('nginx', false) !== undefined) at((time += 1_000));
  }
  return time;
}

const gone = new CloneError('SOURCE_NOT_FOUND', 'nginx:9 does not exist on docker.io');

describe('createNegativeCache', () => {
  it('answers a controller for 2 s, 4 s, 8 s … and 5 minutes at most', () => {
    let time = 0;
    const memory = createNegativeCache({ now: () => time });
    const pauses: number[] = [];
    for (let round = 0; round < 10; round += 1) {
      memory.remember('nginx', gone);
      const since = time;
      while (memory.recall('nginx', false) !== undefined) time += 1_000;
      pauses.push((time - since) / 1_000);
    }

    assert.deepEqual(pauses, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
  });

  it('keeps nothing under a key that is enormous', () => {
    const memory = createNegativeCache({ now: () => 0 });
    const [long, enormous] = ['x'.repeat(16_000), 'x'.repeat(17_000)];
    memory.remember(long, gone);
    memory.remember(enormous, gone);

    assert.equal(memory.recall(long, false)?.code, 'SOURCE_NOT_FOUND');
    assert.equal(memory.recall(enormous, false), undefined);
  });

  it('says what was wrong, when that was, and when it is tried again', () => {
    let time = 0;
    const memory = createNegativeCache({ now: () => time });
    failTimes(4, memory, (ms) => (time = ms));
    time += 12_000;

    const answer = memory.recall('nginx', false);

    assert.equal(answer?.code, 'SOURCE_NOT_FOUND');
    assert.equal(
      answer.message,
      'nginx:9 does not exist on docker.io; tried 12 s ago, next attempt in 4 s',
    );
    assert.equal(answer.retryAfterMs, 4_000);
  });

  it('tries anew for a person, always', () => {
    const memory = createNegativeCache({ now: () => 0 });
    memory.remember('nginx', gone);

    assert.equal(memory.recall('nginx', true), undefined);
  });

  it('does not wait longer than 30 s for what is mended elsewhere', () => {
    for (const code of ['BACKUP_REFUSED', 'SOURCE_UNAVAILABLE', 'CLONER_UNAVAILABLE'] as const) {
      let time = 0;
      const memory = createNegativeCache({ now: () => time });
      const since = failTimes(10, memory, (ms) => (time = ms), new CloneError(code, 'no'));
      time = since + 29_999;
      assert.match(memory.recall('nginx', false)?.message ?? '', /next attempt in 1 s$/);
      time = since + 30_000;
      assert.equal(memory.recall('nginx', false), undefined);
    }
  });

  it('takes twenty failures at once for one, and does not put it off for a person’s', () => {
    let time = 0;
    const memory = createNegativeCache({ now: () => time });
    for (let i = 0; i < 20; i += 1) memory.remember('nginx', gone);
    time = 1_000;
    memory.remember('nginx', gone);

    assert.match(
      memory.recall('nginx', false)?.message ?? '',
      /tried 1 s ago, next attempt in 1 s$/,
    );
  });

  it('forgets when it went well, and begins with two seconds again', () => {
    let time = 0;
    const memory = createNegativeCache({ now: () => time });
    failTimes(3, memory, (ms) => (time = ms));
    memory.forget('nginx');
    assert.equal(memory.recall('nginx', false), undefined);

    memory.remember('nginx', gone);

    assert.match(memory.recall('nginx', false)?.message ?? '', /next attempt in 2 s$/);
  });

  it('begins with two seconds again where nobody has asked for long', () => {
    let time = 0;
    const memory = createNegativeCache({ now: () => time });
    failTimes(3, memory, (ms) => (time = ms));
    time = 600_000;

    memory.remember('nginx', gone);

    assert.match(memory.recall('nginx', false)?.message ?? '', /next attempt in 2 s$/);
  });

  it('holds no more than it may: the oldest is forgotten', () => {
    const memory = createNegativeCache({ now: () => 0, maxEntries: 2 });
    for (const key of ['a', 'b', 'c']) memory.remember(key, gone);

    const held = ['a', 'b', 'c'].filter((key) => memory.recall(key, false) !== undefined);

    assert.deepEqual(held, ['b', 'c']);
  });
});
