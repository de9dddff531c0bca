import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  copyTag,
  digestTag,
  generationTag,
  holdTag,
  isGenerationTag,
  moveTag,
  provenanceTag,
  roleOf,
  type TagRole,
} from '../../lib/image/tags.ts';

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

describe('holdTag', () => {
  it('stands beside the tag', () => {
    assert.equal(holdTag('1.27'), '1.27.hold');
  });
});

describe('moveTag', () => {
  const at = Date.UTC(2026, 10, 25, 3, 34, 8, 999);

  it('says when, and what was there before', () => {
    assert.equal(moveTag('1.27', { at, from: B }), '1.27.moved.20261125T033408Z.0123456789ab');
  });

  it('shortens tags of more than 92 characters', () => {
    // printf 't%.0s' $(seq 93) | sha256sum
    assert.equal(
      moveTag('t'.repeat(93), { at, from: A }),
      `${'t'.repeat(79)}-16d4ee00633e.moved.20261125T033408Z.aaaaaaaaaaaa`,
    );
  });

  for (const [clock, text] of [
    [-5, '19700101T000000Z'],
    [8.64e15, '99991231T000000Z'],
  ] as const) {
    it(`has a tag for a clock that says ${clock}`, () => {
      assert.equal(moveTag('1', { at: clock, from: A }), `1.moved.${text}.aaaaaaaaaaaa`);
    });
  }
});

describe('roleOf', () => {
  const at = Date.UTC(2026, 10, 25, 3, 34, 8);
  const cases: readonly (readonly [tag: string, expected: TagRole | undefined])[] = [
    ['1.27', { kind: 'plain' }],
    ['1.27.hold', { kind: 'hold' }],
    ['1.27.0123456789ab', { kind: 'generation', hex: '0123456789ab' }],
    ['1.27.from.0123456789ab', { kind: 'provenance', hex: '0123456789ab' }],
    ['1.27.moved.20261125T033408Z.0123456789ab', { kind: 'move', at, from: '0123456789ab' }],
    ['1.27.moved.20261325T033408Z.0123456789ab', undefined],
    ['1.27.4', undefined],
    ['1.27.4.0123456789ab', undefined],
    ['1.27.4.hold', undefined],
    ['1.27.0123456789AB', undefined],
    ['1.27-0123456789ab', undefined],
    ['1.2', undefined],
    ['latest', undefined],
  ];
  for (const [tag, expected] of cases) {
    it(`knows ${tag} as ${expected?.kind ?? 'nothing of 1.27'}`, () => {
      assert.deepEqual(roleOf(tag, '1.27'), expected);
    });
  }

  it('knows the tags of a long tag again', () => {
    assert.equal(roleOf(generationTag(long, A), long)?.kind, 'generation');
    assert.equal(roleOf(provenanceTag(long, A), long)?.kind, 'provenance');
    assert.equal(roleOf(holdTag(long), long)?.kind, 'hold');
    assert.deepEqual(roleOf(moveTag(long, { at, from: A }), long), {
      kind: 'move',
      at,
      from: 'aaaaaaaaaaaa',
    });
  });
});

describe('copyTag', () => {
  const hex32 = 'ab'.repeat(16);
  for (const tag of ['1.27', 'hold', '1.27.holder', '1.27.aaaaaaaaaaaa', 'private', long]) {
    it(`leaves ${tag.slice(0, 20)} alone`, () => {
      assert.equal(copyTag(tag), tag);
    });
  }

  // printf 1.27.hold | sha256sum, and so on
  const altered = [
    ['1.27.hold', '1.27.hold-879abeed93c4'],
    ['1.27.hold-879abeed93c4', '1.27.hold-879abeed93c4-7a485872d5ad'],
    ['1.moved.20261125T033408Z.0123456789ab', '1.moved.20261125T033408Z.0123456789ab-e189cf868310'],
  ] as const;
  for (const [tag, expected] of altered) {
    it(`makes another of ${tag}, which is ours to write`, () => {
      assert.equal(copyTag(tag), expected);
    });
  }

  for (const tag of [`private.${hex32}`, `private.${hex32}.${hex32}`]) {
    it(`makes another of ${tag.slice(0, 20)}…, which marks a private copy`, () => {
      assert.match(copyTag(tag), new RegExp(`^${tag}-[0-9a-f]{12}$`));
    });
  }
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
        assert.match(holdTag(tag), grammar);
        assert.match(moveTag(tag, { at: 0, from: A }), grammar);
        assert.match(copyTag(tag), grammar);
      }),
    );
  });

  it('are never the tag of a copy', () => {
    const suffix = fc.constantFrom(
      '',
      '.hold',
      '.hold-879abeed93c4',
      '.moved.20261125T033408Z.0123456789ab',
    );
    const tricky = fc.tuple(anyTag, suffix).map(([tag, end]) => `${tag}${end}`.slice(-128));
    const valid = tricky.filter((tag) => grammar.test(tag));
    fc.assert(
      fc.property(valid, valid, (a, b) => {
        assert.notEqual(copyTag(a), holdTag(b));
        assert.notEqual(copyTag(a), moveTag(b, { at: 0, from: A }));
        if (a !== b) assert.notEqual(copyTag(a), copyTag(b));
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
