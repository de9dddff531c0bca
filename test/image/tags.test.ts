import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { digestTag, generationTag, isGenerationTag, provenanceTag } from '../../lib/image/tags.ts';

const A = `sha256:${'a'.repeat(64)}`;
const B = `sha256:${'0123456789ab'.padEnd(64, 'f')}`;
const long = 't'.repeat(110);
// printf 't%.0s' $(seq 110) | sha256sum
const longStem = `${'t'.repeat(96)}-9b10d413b024`;

describe('digestTag', () => {
  it('is the digest with a dot, so that it is neither a referrers tag nor cosign’s', () => {
    assert.equal(digestTag(A), `sha256.${'a'.repeat(64)}`);
  });

  it('shortens sha512 with a hash', () => {
    // printf 'sha512.%0128d' 0 | sha256sum
    assert.equal(digestTag(`sha512:${'0'.repeat(128)}`), `sha512.${'0'.repeat(89)}-a0ef46579e80`);
  });
});

describe('generationTag', () => {
  it('ends with the first 12 hex digits of what the tag holds', () => {
    assert.equal(generationTag('1.27', B), '1.27.0123456789ab');
  });

  it('leaves a tag of 109 characters alone', () => {
    assert.equal(generationTag('t'.repeat(109), A), `${'t'.repeat(109)}.aaaaaaaaaaaa`);
  });

  it('shortens a longer one with a hash', () => {
    assert.equal(generationTag(long, A), `${longStem}.aaaaaaaaaaaa`);
  });
});

describe('provenanceTag', () => {
  it('names the digest of the source', () => {
    assert.equal(provenanceTag('1.27', B), '1.27.from.0123456789ab');
  });

  it('shortens long tags as generationTag does', () => {
    assert.equal(provenanceTag(long, A), `${longStem}.from.aaaaaaaaaaaa`);
  });
});

describe('isGenerationTag', () => {
  const cases: readonly (readonly [tag: string, digest: string, expected: boolean])[] = [
    ['1.27.aaaaaaaaaaaa', A, true],
    ['1.27.aaaaaaaaaaaa', B, false],
    ['1.27', A, false],
    ['1.27.aaaaaaaaaaa', A, false],
    ['1.27-aaaaaaaaaaaa', A, false],
  ];
  for (const [tag, digest, expected] of cases) {
    it(`is ${expected} for ${tag} holding ${digest.slice(0, 19)}`, () => {
      assert.equal(isGenerationTag(tag, digest), expected);
    });
  }
});

describe('all tags', () => {
  const grammar = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
  const anyTag = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/);

  it('fit the grammar of tags, whatever they are made of', () => {
    fc.assert(
      fc.property(anyTag, (tag) => {
        assert.match(generationTag(tag, A), grammar);
        assert.match(provenanceTag(tag, A), grammar);
      }),
    );
  });

  it('differ where the tags differ', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('t'.repeat(100), 't'.repeat(120)),
        anyTag,
        anyTag,
        (stem, a, b) => {
          const [one, other] = [`${stem}${a}`.slice(0, 128), `${stem}${b}`.slice(0, 128)];
          fc.pre(one !== other);
          assert.notEqual(generationTag(one, A), generationTag(other, A));
        },
      ),
    );
  });
});
