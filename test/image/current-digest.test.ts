import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { currentDigest } from '../../lib/image/current-digest.ts';

const [A = '', B = '', C = ''] = ['a', 'b', 'c'].map((letter) => `sha256:${letter.repeat(64)}`);
const generations = { '1.aaaaaaaaaaaa': A, '1.bbbbbbbbbbbb': B, '1.cccccccccccc': C };

describe('currentDigest', () => {
  const cases: readonly (readonly [
    what: string,
    tags: Readonly<Record<string, string>>,
    expected: string | undefined,
  ])[] = [
    ['a tag without recorded moves means what it holds', { 1: A }, A],
    [
      'a tag that moved means what it holds',
      { 1: B, '1.moved.20260102t000000z.aaaaaaaaaaaa': B },
      B,
    ],
    [
      'a tag that could not be moved means the target of the move',
      { 1: A, '1.moved.20260102t000000z.aaaaaaaaaaaa': B },
      B,
    ],
    [
      'an immutable tag means the target of the newest move away from it',
      {
        1: A,
        '1.moved.20260102t000000z.aaaaaaaaaaaa': C,
        '1.moved.20260103T000000Z.aaaaaaaaaaaa': B,
      },
      B,
    ],
    [
      'an immutable tag means what it holds after its source returned to that',
      {
        1: A,
        '1.moved.20260102t000000z.aaaaaaaaaaaa': B,
        '1.moved.20260103t000000z.bbbbbbbbbbbb': A,
      },
      A,
    ],
    [
      'a tag means what it holds if two moves have the same time',
      {
        1: A,
        '1.moved.20260102t000000z.aaaaaaaaaaaa': B,
        '1.moved.20260102t000000z.bbbbbbbbbbbb': A,
      },
      A,
    ],
    [
      'a move away from another digest does not change what a tag means, whatever its time',
      {
        1: C,
        '1.moved.29990101t000000z.aaaaaaaaaaaa': B,
        '1.moved.20260102t000000z.bbbbbbbbbbbb': C,
      },
      C,
    ],
    [
      'a move of another tag does not count',
      { 1: A, '2.moved.20260102t000000z.aaaaaaaaaaaa': B },
      A,
    ],
    [
      'a tag that does not exist means nothing',
      { '1.moved.20260102t000000z.aaaaaaaaaaaa': B },
      undefined,
    ],
  ];
  for (const [what, tags, expected] of cases) {
    it(what, () => {
      assert.equal(
        currentDigest(new Map(Object.entries({ ...generations, ...tags })), '1'),
        expected,
      );
    });
  }

  it('a move to a digest without a generation tag does not change what a tag means', () => {
    const tags = new Map([
      ['1', A],
      ['1.aaaaaaaaaaaa', A],
      ['1.bbbbbbbbbbbb', C],
      ['1.moved.20260102t000000z.aaaaaaaaaaaa', B],
    ]);

    assert.equal(currentDigest(tags, '1'), A);
  });

  it('finds what v1-Alpine means in a list of tags in lower case', () => {
    const tags = new Map([
      ['v1-alpine', A],
      ['v1-alpine.bbbbbbbbbbbb', B],
      ['v1-alpine.moved.20260102t000000z.aaaaaaaaaaaa', B],
    ]);

    assert.equal(currentDigest(tags, 'v1-Alpine'), B);
  });

  it('does not take v1-alpine for v1-Alpine in a list with upper-case tags', () => {
    const tags = new Map([
      ['v1-alpine', A],
      ['RELEASE', B],
    ]);

    assert.equal(currentDigest(tags, 'v1-Alpine'), undefined);
  });
});
