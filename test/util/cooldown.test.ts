import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Cooldown, createCooldown } from '../../lib/util/cooldown.ts';

const clock = { now: 0 };

function open(): Cooldown {
  clock.now = 1_000;
  return createCooldown({ now: () => clock.now, maxMs: 300_000, maxKeys: 2 });
}

describe('createCooldown', () => {
  it('counts the pause of a cooldown down, and keeps the longer one of two', () => {
    const cooldown = open();

    assert.equal(cooldown.remainingMs('a'), 0);
    cooldown.start('a', 10_000);
    cooldown.start('a', 5_000);
    assert.equal(cooldown.remainingMs('a'), 10_000);
    clock.now += 4_000;
    assert.equal(cooldown.remainingMs('a'), 6_000);
    clock.now += 7_000;
    assert.equal(cooldown.remainingMs('a'), 0);
  });

  it('keeps the cooldowns of different keys apart', () => {
    const cooldown = open();

    cooldown.start('a', 10_000);

    assert.equal(cooldown.remainingMs('b'), 0);
  });

  it('limits a cooldown to its maximum', () => {
    const cooldown = open();

    cooldown.start('a', 1e12);

    assert.equal(cooldown.remainingMs('a'), 300_000);
  });

  it('ends a cooldown that is deleted', () => {
    const cooldown = open();
    cooldown.start('a', 10_000);

    cooldown.delete('a');

    assert.equal(cooldown.remainingMs('a'), 0);
  });

  it('evicts the oldest cooldown when there are too many', () => {
    const cooldown = open();

    for (const key of ['a', 'b', 'c']) cooldown.start(key, 10_000);

    assert.deepEqual(
      ['a', 'b', 'c'].map((key) => cooldown.remainingMs(key)),
      [0, 10_000, 10_000],
    );
  });
});
