import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createQuiet } from '../../../../lib/adapters/registry/client/cooldown.ts';

describe('createQuiet', () => {
  it('begins with nothing, counts down, and keeps the longer of two', () => {
    let now = 1_000;
    const quiet = createQuiet(() => now);

    assert.equal(quiet.remainingMs(), 0);
    quiet.keep(10_000);
    quiet.keep(5_000);
    assert.equal(quiet.remainingMs(), 10_000);
    now += 4_000;
    assert.equal(quiet.remainingMs(), 6_000);
    now += 7_000;
    assert.equal(quiet.remainingMs(), 0);
  });

  it('makes nobody wait longer when the clock goes back', () => {
    let now = 1_000_000_000;
    const quiet = createQuiet(() => now);
    quiet.keep(10_000);
    now -= 3_600_000;

    assert.equal(quiet.remainingMs(), 0);
  });

  it('keeps five minutes at most', () => {
    const quiet = createQuiet(() => 0);

    quiet.keep(1e12);

    assert.equal(quiet.remainingMs(), 300_000);
  });
});
