import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { released } from '../../lib/cloner/backup/hold.ts';
import { generationsOf } from '../../lib/generations/generations.ts';

const [A, B, C, D] = ['a', 'b', 'c', 'd'].map((letter) => `sha256:${letter.repeat(64)}`);
const hex = { A: 'a'.repeat(12), B: 'b'.repeat(12), C: 'c'.repeat(12), D: 'd'.repeat(12) };
const day = Date.UTC(2026, 0, 1);

/** Digests in the order in which `generationsOf` gives them, by their letters. */
function order(holdings: Readonly<Record<string, string | undefined>>): string {
  const map = new Map(
    Object.entries(holdings).flatMap(([tag, digest]) =>
      digest === undefined ? [] : [[tag, digest] as const],
    ),
  );
  return generationsOf('1', map)
    .map(({ digest, rank }) => `${digest[7]}${rank === undefined ? '?' : ''}`)
    .join(' ');
}

describe('generationsOf', () => {
  it('lists the current generation first, then the newest, and those without a recorded move last', () => {
    const holdings = {
      1: B,
      [`1.${hex.A}`]: A,
      [`1.${hex.B}`]: B,
      [`1.${hex.C}`]: C,
      [`1.${hex.D}`]: D,
      [`1.moved.20260102T000000Z.${hex.A}`]: B,
      [`1.moved.20260103T000000Z.${hex.B}`]: C,
      [`1.moved.20260104T000000Z.${hex.C}`]: B,
    };

    assert.equal(order(holdings), 'b c a d?');
  });

  it('orders generations by the last time that the tag moved to each', () => {
    const holdings = {
      1: D,
      [`1.${hex.A}`]: A,
      [`1.${hex.B}`]: B,
      [`1.${hex.C}`]: C,
      [`1.${hex.D}`]: D,
      [`1.moved.20260102T000000Z.${hex.A}`]: B,
      [`1.moved.20260103T000000Z.${hex.B}`]: C,
      [`1.moved.20260104T000000Z.${hex.C}`]: A,
      [`1.moved.20260105T000000Z.${hex.A}`]: D,
    };

    assert.equal(order(holdings), 'd a c b');
  });

  it('ignores a generation tag that holds another digest, and generations of other tags', () => {
    const holdings = {
      1: A,
      [`1.${hex.A}`]: A,
      [`1.${hex.B}`]: C,
      '1.2': B,
      [`1.2.${hex.B}`]: B,
      [`1.2.${hex.C}`]: C,
      [`2.${hex.D}`]: D,
    };

    assert.equal(order(holdings), 'a?');
  });

  it('lists the target of the newest move first when the registry did not move the tag', () => {
    const holdings = {
      1: A,
      [`1.${hex.A}`]: A,
      [`1.${hex.B}`]: B,
      [`1.${hex.C}`]: C,
      [`1.moved.20260102t000000z.${hex.A}`]: B,
      [`1.moved.20260103t000000z.${hex.A}`]: C,
    };

    assert.equal(order(holdings), 'c b a');
  });

  it('gives no rank to the target of an interrupted move after the tag has moved elsewhere', () => {
    const holdings = {
      1: C,
      [`1.${hex.A}`]: A,
      [`1.${hex.B}`]: B,
      [`1.${hex.C}`]: C,
      [`1.moved.20260102t000000z.${hex.A}`]: B,
      [`1.moved.20260103t000000z.${hex.A}`]: C,
    };

    assert.equal(order(holdings), 'c a b?');
  });

  it('lists for each generation whether it is current and held, since when, and its tags', () => {
    const holdings = new Map([
      ['1', B ?? ''],
      ['1.hold', B ?? ''],
      ['stable', B ?? ''],
      [`1.${hex.B}`, B ?? ''],
      [`1.moved.20260101T000000Z.${hex.A}`, B ?? ''],
    ]);

    assert.deepEqual(generationsOf('1', holdings), [
      {
        digest: B,
        isCurrent: true,
        isHeld: true,
        since: day,
        rank: day,
        tags: ['1', '1.hold', 'stable', `1.${hex.B}`, `1.moved.20260101T000000Z.${hex.A}`],
      },
    ]);
  });

  it('does not report a generation as held after its hold was released', () => {
    const holdings = new Map([
      ['1', A ?? ''],
      [`1.${hex.A}`, A ?? ''],
      ['1.hold', released.digest],
    ]);

    assert.deepEqual(
      generationsOf('1', holdings).map(({ isHeld }) => isHeld),
      [false],
    );
  });
});
