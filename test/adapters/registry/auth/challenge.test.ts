import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseChallenges } from '../../../../lib/adapters/registry/auth/challenge.ts';

describe('parseChallenges', () => {
  const cases: readonly {
    readonly what: string;
    readonly headers: readonly string[];
    readonly expected: readonly (readonly [string, Readonly<Record<string, string>>])[];
  }[] = [
    {
      what: 'the challenge of Docker Hub',
      headers: [
        'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull"',
      ],
      expected: [
        [
          'bearer',
          {
            realm: 'https://auth.docker.io/token',
            service: 'registry.docker.io',
            scope: 'repository:library/nginx:pull',
          },
        ],
      ],
    },
    {
      what: 'the challenge of distribution with htpasswd',
      headers: ['Basic realm="my realm"'],
      expected: [['basic', { realm: 'my realm' }]],
    },
    {
      what: 'parameters in any order and case, with spaces around =',
      headers: ['BEARER  Scope="a b" , SERVICE = s,\tRealm= "https://r/t"'],
      expected: [['bearer', { scope: 'a b', service: 's', realm: 'https://r/t' }]],
    },
    {
      what: 'several challenges in one header',
      headers: ['Negotiate, Basic realm="a, b=c", Bearer realm="https://r/t",service=s'],
      expected: [
        ['negotiate', {}],
        ['basic', { realm: 'a, b=c' }],
        ['bearer', { realm: 'https://r/t', service: 's' }],
      ],
    },
    {
      what: 'several headers',
      headers: ['Basic realm="a"', 'Bearer realm="https://r/t"'],
      expected: [
        ['basic', { realm: 'a' }],
        ['bearer', { realm: 'https://r/t' }],
      ],
    },
    {
      what: 'a scheme with a token instead of parameters',
      headers: ['Negotiate oYG1MIGyoAMKAQ+/==, Bearer realm="https://r/t"'],
      expected: [
        ['negotiate', {}],
        ['bearer', { realm: 'https://r/t' }],
      ],
    },
    {
      what: 'escapes in quoted strings',
      headers: [String.raw`Basic realm="say \"hi\", \\ and \a"`],
      expected: [['basic', { realm: String.raw`say "hi", \ and a` }]],
    },
    {
      what: 'empty elements of the list',
      headers: [', ,Basic realm=a,,, charset="UTF-8",'],
      expected: [['basic', { realm: 'a', charset: 'UTF-8' }]],
    },
    {
      what: 'an empty quoted string',
      headers: ['Basic realm=""'],
      expected: [['basic', { realm: '' }]],
    },
    { what: 'a scheme alone', headers: ['Basic'], expected: [['basic', {}]] },
    { what: 'an empty header', headers: [''], expected: [] },
    { what: 'no header', headers: [], expected: [] },
    {
      what: 'the challenges before a syntax error',
      headers: ['Basic realm="a", Bearer realm="never ends'],
      expected: [
        ['basic', { realm: 'a' }],
        ['bearer', {}],
      ],
    },
    { what: 'a parameter without a scheme', headers: ['realm="https://evil/"'], expected: [] },
    { what: 'garbage', headers: ['"""', '=,=', '\u0000', '{"a":1}'], expected: [] },
  ];
  for (const { what, headers, expected } of cases) {
    it(`parses challenge headers: ${what}`, () => {
      const challenges = parseChallenges(headers);

      assert.deepEqual(
        challenges.map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]),
        expected,
      );
    });
  }

  const hostile = [
    'a'.repeat(16_384),
    `Bearer ${'a='.repeat(8_000)}`,
    `Bearer realm="${'\\'.repeat(16_000)}`,
    `Bearer realm="${'\\"'.repeat(8_000)}`,
    `Bearer ${'a=b,'.repeat(4_000)}`,
    'a,'.repeat(8_000),
    `Bearer${' '.repeat(16_000)}x`,
    `Bearer a${' '.repeat(16_000)}=`,
    `Basic ${'='.repeat(16_000)}`,
    ','.repeat(16_384),
  ];
  for (const header of hostile) {
    it(`parses a challenge header of 16 KiB of ${JSON.stringify(header.slice(0, 14))}… in linear time`, () => {
      const challenges = parseChallenges([header]);

      assert.ok(challenges.length <= 4_096);
    });
  }
});
