import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  caseTag,
  copyTag,
  cosignTags,
  digestTag,
  generationTag,
  holdTag,
  isGenerationTag,
  isSameTagWithoutCase,
  moveTag,
  parseTagRole,
  provenanceTag,
  referrersTag,
  type TagRole,
} from '../../lib/image/tags.ts';

const A = `sha256:${'a'.repeat(64)}`;
const B = `sha256:${'0123456789ab'.padEnd(64, 'f')}`;
const long = 't'.repeat(110);
// printf 't%.0s' $(seq 110) | sha256sum
const longStem = `${'t'.repeat(96)}-9b10d413b024`;

describe('digestTag', () => {
  it('makes a digest tag of algorithm and digits with a dot, unlike a referrers tag or cosign’s', () => {
    assert.equal(digestTag(A), `sha256.${'a'.repeat(64)}`);
  });

  it('truncates a sha512 digest in a tag and appends a hash', () => {
    // printf 'sha512.%0128d' 0 | sha256sum
    assert.equal(digestTag(`sha512:${'0'.repeat(128)}`), `sha512.${'0'.repeat(89)}-a0ef46579e80`);
  });
});

describe('generationTag', () => {
  it('makes a generation tag with the first 12 hex digits of the digest', () => {
    assert.equal(generationTag('1.27', B), '1.27.0123456789ab');
  });

  it('keeps a tag of 109 characters whole in a generation tag', () => {
    assert.equal(generationTag('t'.repeat(109), A), `${'t'.repeat(109)}.aaaaaaaaaaaa`);
  });

  it('truncates a tag of more than 109 characters in a generation tag and appends a hash', () => {
    assert.equal(generationTag(long, A), `${longStem}.aaaaaaaaaaaa`);
  });
});

describe('provenanceTag', () => {
  it('makes a provenance tag with the first 12 hex digits of the source digest', () => {
    assert.equal(provenanceTag('1.27', B), '1.27.from.0123456789ab');
  });

  it('truncates a long tag in a provenance tag as in a generation tag', () => {
    assert.equal(provenanceTag(long, A), `${longStem}.from.aaaaaaaaaaaa`);
  });
});

describe('holdTag', () => {
  it('makes the hold tag 1.27.hold of 1.27', () => {
    assert.equal(holdTag('1.27'), '1.27.hold');
    assert.equal(caseTag('v1-Alpine'), 'v1-alpine.case.dda8912acacf');
  });
});

describe('moveTag', () => {
  const at = Date.UTC(2026, 10, 25, 3, 34, 8, 999);

  it('makes a move tag with the time of the move and the previous digest', () => {
    assert.equal(moveTag('1.27', { at, from: B }), '1.27.moved.20261125t033408z.0123456789ab');
  });

  it('truncates a tag of more than 92 characters in a move tag and appends a hash', () => {
    // printf 't%.0s' $(seq 93) | sha256sum
    assert.equal(
      moveTag('t'.repeat(93), { at, from: A }),
      `${'t'.repeat(79)}-16d4ee00633e.moved.20261125t033408z.aaaaaaaaaaaa`,
    );
  });

  for (const [clock, text] of [
    [-5, '19700101t000000z'],
    [8.64e15, '99991231t000000z'],
  ] as const) {
    it(`writes the time ${clock} of a move into its tag as ${text}`, () => {
      assert.equal(moveTag('1', { at: clock, from: A }), `1.moved.${text}.aaaaaaaaaaaa`);
    });
  }
});

describe('referrersTag', () => {
  it('makes the tag of a list of referrers of algorithm and digits with a hyphen', () => {
    assert.equal(referrersTag(A), `sha256-${'a'.repeat(64)}`);
  });
});

describe('cosignTags', () => {
  it('makes the tags that cosign gives the signature, attestations and SBOM of an image', () => {
    const hex = 'a'.repeat(64);

    assert.deepEqual(cosignTags(A), [
      `sha256-${hex}.sig`,
      `sha256-${hex}.att`,
      `sha256-${hex}.sbom`,
    ]);
  });
});

describe('parseTagRole', () => {
  const at = Date.UTC(2026, 10, 25, 3, 34, 8);
  const cases: readonly (readonly [tag: string, expected: TagRole | undefined])[] = [
    ['1.27', { kind: 'plain' }],
    ['1.27.hold', { kind: 'hold' }],
    ['1.27.0123456789ab', { kind: 'generation', hex: '0123456789ab' }],
    ['1.27.from.0123456789ab', { kind: 'provenance', hex: '0123456789ab' }],
    ['1.27.moved.20261125t033408z.0123456789ab', { kind: 'move', at, from: '0123456789ab' }],
    // As version 0.1 wrote it.
    ['1.27.moved.20261125T033408Z.0123456789ab', { kind: 'move', at, from: '0123456789ab' }],
    ['1.27.moved.20261325t033408z.0123456789ab', undefined],
    ['1.27.4', undefined],
    ['1.27.4.0123456789ab', undefined],
    ['1.27.4.hold', undefined],
    ['1.27.0123456789AB', undefined],
    ['1.27-0123456789ab', undefined],
    ['1.2', undefined],
    ['latest', undefined],
  ];
  for (const [tag, expected] of cases) {
    it(`parses the tag ${tag} as ${expected?.kind ?? 'no role'} of 1.27`, () => {
      assert.deepEqual(parseTagRole(tag, '1.27'), expected);
    });
  }

  const listed = [
    ['v1-alpine', { kind: 'plain' }],
    ['v1-alpine.hold', { kind: 'hold' }],
    ['v1-alpine.0123456789ab', { kind: 'generation', hex: '0123456789ab' }],
    ['v1-alpine.from.0123456789ab', { kind: 'provenance', hex: '0123456789ab' }],
    ['v1-alpine.moved.20261125t033408z.0123456789ab', { kind: 'move', at, from: '0123456789ab' }],
  ] as const;
  for (const [tag, expected] of listed) {
    it(`parses ${tag} as ${expected.kind} of v1-Alpine only if the registry lists tags in lower case`, () => {
      assert.deepEqual(parseTagRole(tag, 'v1-Alpine', { ignoresCase: true }), expected);
      assert.equal(parseTagRole(tag, 'v1-Alpine'), undefined);
    });
  }

  it('parses the roles of a truncated tag that a registry lists in lower case', () => {
    const tag = `Q${long}`;

    const name = generationTag(tag, A).toLowerCase();

    assert.equal(parseTagRole(name, tag, { ignoresCase: true })?.kind, 'generation');
  });

  it('parses the roles of tags that were made of a truncated tag', () => {
    assert.equal(parseTagRole(generationTag(long, A), long)?.kind, 'generation');
    assert.equal(parseTagRole(provenanceTag(long, A), long)?.kind, 'provenance');
    assert.equal(parseTagRole(holdTag(long), long)?.kind, 'hold');
    assert.deepEqual(parseTagRole(moveTag(long, { at, from: A }), long), {
      kind: 'move',
      at,
      from: 'aaaaaaaaaaaa',
    });
  });
});

describe('copyTag', () => {
  const hex32 = 'ab'.repeat(16);
  for (const tag of ['1.27', 'hold', '1.27.holder', '1.27.aaaaaaaaaaaa', 'private', long]) {
    it(`keeps the source tag ${tag.slice(0, 20)}, which is not reserved`, () => {
      assert.equal(copyTag(tag), tag);
    });
  }

  // printf 1.27.hold | sha256sum, and so on
  const altered = [
    ['1.27.hold', '1.27.hold-879abeed93c4'],
    ['1.27.case.aaaaaaaaaaaa', '1.27.case.aaaaaaaaaaaa-94cb01ad2815'],
    ['1.27.hold-879abeed93c4', '1.27.hold-879abeed93c4-7a485872d5ad'],
    ['1.moved.20261125T033408Z.0123456789ab', '1.moved.20261125T033408Z.0123456789ab-e189cf868310'],
    ['1.moved.20261125t033408z.0123456789ab', '1.moved.20261125t033408z.0123456789ab-cb73b456b96c'],
    ['1.27.HOLD', '1.27.HOLD-0c29932645c6'],
  ] as const;
  for (const [tag, expected] of altered) {
    it(`appends a hash to the source tag ${tag}, which is reserved`, () => {
      assert.equal(copyTag(tag), expected);
    });
  }

  const marks = [`private.${hex32}`, `private.${hex32}.${hex32}`, `PRIVATE.${hex32.toUpperCase()}`];
  for (const tag of marks) {
    it(`appends a hash to the source tag ${tag.slice(0, 20)}…, which marks a private copy`, () => {
      assert.match(copyTag(tag), new RegExp(`^${tag}-[0-9a-f]{12}$`));
    });
  }
});

describe('isGenerationTag', () => {
  const cases: readonly (readonly [tag: string, digest: string, expected: boolean])[] = [
    ['1.27.aaaaaaaaaaaa', A, true],
    ['1.27.AAAAAAAAAAAA', A, true],
    ['1.27.aaaaaaaaaaaa', B, false],
    ['1.27', A, false],
    ['1.27.aaaaaaaaaaa', A, false],
    ['1.27-aaaaaaaaaaaa', A, false],
  ];
  for (const [tag, digest, expected] of cases) {
    it(`${expected ? 'recognizes' : 'does not recognize'} ${tag} pointing to ${digest.slice(0, 19)} as a generation tag`, () => {
      assert.equal(isGenerationTag(tag, digest), expected);
    });
  }
});

describe('isSameTagWithoutCase', () => {
  const cases = [
    ['v1-Alpine', 'v1-alpine', true],
    ['v1-alpine', 'v1-alpine', false],
    ['v1-alpine', 'v1-alpine3', false],
  ] as const;
  for (const [a, b, expected] of cases) {
    it(`${a} and ${b} ${expected ? 'clash' : 'do not clash'} in a registry whose tags have no case`, () => {
      assert.equal(isSameTagWithoutCase(a, b), expected);
    });
  }
});

describe('tags made of a tag', () => {
  const grammar = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
  const anyTag = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/);

  it('makes valid role tags of every source tag', () => {
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

  it('makes no hold or move tag that copyTag returns', () => {
    const suffix = fc.constantFrom(
      '',
      '.hold',
      '.hold-879abeed93c4',
      '.moved.20261125T033408Z.0123456789ab',
      '.moved.19700101t000000z.aaaaaaaaaaaa',
      '.HOLD',
      '.Hold-879ABEED93C4',
    );
    const tricky = fc.tuple(anyTag, suffix).map(([tag, end]) => `${tag}${end}`.slice(-128));
    const valid = tricky.filter((tag) => grammar.test(tag));
    fc.assert(
      fc.property(valid, valid, (a, b) => {
        // Also in a registry whose tags have no case.
        const written = copyTag(a).toLowerCase();
        assert.notEqual(written, holdTag(b).toLowerCase());
        assert.notEqual(written, moveTag(b, { at: 0, from: A }).toLowerCase());
        if (a !== b) assert.notEqual(copyTag(a), copyTag(b));
        if (a.toLowerCase() !== b.toLowerCase()) assert.notEqual(written, copyTag(b).toLowerCase());
        const isPrivate = /^private\.[0-9a-f]{32}(\.[0-9a-f]{32})?$/.test(written);
        assert.equal(isPrivate, false);
      }),
    );
  });

  it('makes different generation tags of different tags', () => {
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
