import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { formatReference, parseReference, type Reference } from '../../lib/image/reference.ts';
import { propertyRuns } from '../support/property-runs.ts';
import { anyReference } from '../support/references.ts';

const hex = (digit: string, length: number): string => digit.repeat(length);
const D = `sha256:${hex('0', 64)}`;
const invalid = { name: 'CloneError', code: 'INVALID_REFERENCE' } as const;

/** What distribution/reference parses. */
const accepted: readonly (readonly [row: number, input: string, expected: Reference])[] = [
  [1, 'ubuntu', { domain: 'docker.io', path: 'library/ubuntu' }],
  [2, 'ubuntu:22.04', { domain: 'docker.io', path: 'library/ubuntu', tag: '22.04' }],
  [3, 'docker.io/ubuntu', { domain: 'docker.io', path: 'library/ubuntu' }],
  [4, 'index.docker.io/library/nginx:1', { domain: 'docker.io', path: 'library/nginx', tag: '1' }],
  [
    5,
    'registry-1.docker.io/library/nginx:1',
    { domain: 'registry-1.docker.io', path: 'library/nginx', tag: '1' },
  ],
  [6, 'docker.io:443/foo', { domain: 'docker.io:443', path: 'foo' }],
  [7, 'foo/bar/baz:v1', { domain: 'docker.io', path: 'foo/bar/baz', tag: 'v1' }],
  [8, 'quay.io/coreos/etcd:v3.5.0', { domain: 'quay.io', path: 'coreos/etcd', tag: 'v3.5.0' }],
  [9, 'localhost/foo', { domain: 'localhost', path: 'foo' }],
  [10, 'localhost:5000/foo', { domain: 'localhost:5000', path: 'foo' }],
  [11, 'localhost:5000', { domain: 'docker.io', path: 'library/localhost', tag: '5000' }],
  [12, 'example.com:443', { domain: 'docker.io', path: 'library/example.com', tag: '443' }],
  [13, 'myhost/foo', { domain: 'docker.io', path: 'myhost/foo' }],
  [14, 'myhost:5000/foo:tag', { domain: 'myhost:5000', path: 'foo', tag: 'tag' }],
  [15, 'MyHost/foo', { domain: 'MyHost', path: 'foo' }],
  [16, 'LOCALHOST/foo', { domain: 'LOCALHOST', path: 'foo' }],
  [17, 'Example.COM/foo', { domain: 'Example.COM', path: 'foo' }],
  [18, '127.0.0.1:5000/a/b:1', { domain: '127.0.0.1:5000', path: 'a/b', tag: '1' }],
  [19, '[::1]:5000/foo', { domain: '[::1]:5000', path: 'foo' }],
  [20, 'ubuntu:Latest', { domain: 'docker.io', path: 'library/ubuntu', tag: 'Latest' }],
  [21, 'ubuntu:_x', { domain: 'docker.io', path: 'library/ubuntu', tag: '_x' }],
  [
    22,
    `ubuntu:${hex('t', 128)}`,
    { domain: 'docker.io', path: 'library/ubuntu', tag: hex('t', 128) },
  ],
  [23, `ubuntu@${D}`, { domain: 'docker.io', path: 'library/ubuntu', digest: D }],
  [
    24,
    `ubuntu:22.04@${D}`,
    { domain: 'docker.io', path: 'library/ubuntu', tag: '22.04', digest: D },
  ],
  [
    25,
    `localhost:5000/foo:tag@${D}`,
    { domain: 'localhost:5000', path: 'foo', tag: 'tag', digest: D },
  ],
  [
    26,
    `ubuntu@sha512:${hex('0', 128)}`,
    { domain: 'docker.io', path: 'library/ubuntu', digest: `sha512:${hex('0', 128)}` },
  ],
  [
    27,
    `sha256:${hex('a', 64)}`,
    { domain: 'docker.io', path: 'library/sha256', tag: hex('a', 64) },
  ],
  [28, 'a--b/c', { domain: 'docker.io', path: 'a--b/c' }],
  [29, 'a__b/c', { domain: 'docker.io', path: 'a__b/c' }],
  [30, 'gcr.io/a.b/c', { domain: 'gcr.io', path: 'a.b/c' }],
  [31, 'example.com:99999/foo', { domain: 'example.com:99999', path: 'foo' }],
  [32, 'foo:1/bar', { domain: 'foo:1', path: 'bar' }],
  [33, `example.com/${hex('q', 255)}`, { domain: 'example.com', path: hex('q', 255) }],
];

const refused: readonly (readonly [row: number, reason: RegExp, inputs: readonly string[]])[] = [
  [34, /longer than 255 characters/, [hex('q', 248)]],
  [35, /must be lower case/, ['Ubuntu', 'foo/Bar', 'docker.io/Foo/bar']],
  [36, /is an image ID/, [hex('a', 64)]],
  [37, /is not a valid image name$/, ['', '/foo', 'foo/', 'foo//bar', 'docker.io/']],
  [38, /is not a valid image name$/, ['a___b/c', 'a..b/c', 'a.-b', '-foo', 'foo-', '_foo/bar']],
  [39, /is not a valid image name$/, ['../foo', 'a/b/../c', 'foo bar', ' ubuntu', 'ubuntu\n']],
  [
    40,
    /is not a valid image name$/,
    ['http://example.com/foo', 'example.com:port/foo', 'example.com:/foo'],
  ],
  [
    41,
    /is not a valid image name$/,
    ['ubuntu:', 'ubuntu:-x', 'ubuntu:.x', `ubuntu:${hex('t', 129)}`, 'foo:1:2'],
  ],
  [
    42,
    /the digest is malformed$/,
    [`ubuntu@${D}:tag`, 'ubuntu@sha256:abc', 'a@b', `ubuntu@${D}@${D}`],
  ],
  [43, /the digest must be lower case$/, [`ubuntu@sha256:${hex('A', 64)}`]],
  [
    44,
    /digest has (64|128) hexadecimal digits$/,
    [`foo@sha256:${hex('0', 63)}`, `foo@sha256:${hex('0', 65)}`, `ubuntu@sha512:${hex('0', 64)}`],
  ],
  [
    45,
    /the digest algorithm (md5|sha256\+b64u) is not supported$/,
    [`ubuntu@md5:${hex('0', 32)}`, `ubuntu@sha256+b64u:${hex('0', 64)}`],
  ],
  [
    46,
    /is not a valid image name$/,
    ['[fe80::1%eth0]/foo', '::1/foo', 'ünïcode/foo', '-example.com/foo'],
  ],
  // distribution/reference parses an empty domain here.
  [47, /is not a valid image name$/, ['ex_ample.com/foo']],
];

describe('parseReference', () => {
  for (const [row, input, expected] of accepted) {
    it(`parses the reference of row ${row}: ${shorten(input)}`, () => {
      assert.deepEqual(parseReference(input), expected);
    });
  }

  for (const [row, message, inputs] of refused) {
    for (const input of inputs) {
      it(`refuses the reference of row ${row}: ${shorten(JSON.stringify(input))}`, () => {
        assert.throws(() => parseReference(input), { ...invalid, message });
      });
    }
  }

  const hostile = {
    slashes: '/'.repeat(16_000),
    colons: ':'.repeat(16_000),
    'at signs': '@'.repeat(16_000),
    'letters and separators': 'a-'.repeat(8_000),
    'letters and underscores': 'a__'.repeat(5_333),
    labels: 'a.'.repeat(8_000),
    'an almost good path': `${'a/'.repeat(8_000)}!`,
    'an almost good digest': `a@${'a+'.repeat(8_000)}:0`,
    'an almost good host': `${'a-'.repeat(8_000)}.com/x`,
    IPv6: `[${'a:'.repeat(8_000)}/x`,
  };
  for (const [name, input] of Object.entries(hostile)) {
    it(`refuses an image name of 16 000 characters of ${name} and truncates it in the error`, () => {
      assert.throws(
        () => parseReference(input),
        (error) => {
          assert(error instanceof Error);
          assert.equal(error.name, 'CloneError');
          assert(error.message.length < 200, error.message);
          return true;
        },
      );
    });

    it(`refuses an image name of 1024 characters of ${name}`, () => {
      assert.throws(() => parseReference(input.slice(0, 1024)), invalid);
    });
  }

  it('escapes control characters of an image name in the error', () => {
    assert.throws(() => parseReference('\u001b[31mred'), {
      ...invalid,
      message: String.raw`"\u001b[31mred" is not a valid image name`,
    });
  });
});

describe('formatReference', () => {
  const cases: readonly (readonly [expected: string, reference: Reference])[] = [
    ['nginx', { domain: 'docker.io', path: 'library/nginx' }],
    ['nginx:1.27', { domain: 'docker.io', path: 'library/nginx', tag: '1.27' }],
    [`nginx:1.27@${D}`, { domain: 'docker.io', path: 'library/nginx', tag: '1.27', digest: D }],
    ['bitnami/nginx', { domain: 'docker.io', path: 'bitnami/nginx' }],
    ['quay.io/x', { domain: 'quay.io', path: 'x' }],
    // The familiar form of these would name another repository.
    ['docker.io/quay.io/x', { domain: 'docker.io', path: 'quay.io/x' }],
    ['docker.io/localhost/x', { domain: 'docker.io', path: 'localhost/x' }],
    ['docker.io/library/quay.io/x', { domain: 'docker.io', path: 'library/quay.io/x' }],
    ['docker.io/library/a/b', { domain: 'docker.io', path: 'library/a/b' }],
    ['library', { domain: 'docker.io', path: 'library/library' }],
    [`docker.io/library/${hex('a', 64)}`, { domain: 'docker.io', path: `library/${hex('a', 64)}` }],
    ['[::1]:5000/x:1', { domain: '[::1]:5000', path: 'x', tag: '1' }],
    ['docker.io:443/x', { domain: 'docker.io:443', path: 'x' }],
  ];
  for (const [expected, reference] of cases) {
    it(`formats the reference ${expected}`, () => {
      assert.equal(formatReference(reference), expected);
    });
  }

  it('formats every reference so that parsing returns it again', () => {
    fc.assert(
      fc.property(anyReference, (reference) => {
        assert.deepEqual(parseReference(formatReference(reference)), reference);
      }),
      propertyRuns(2_000),
    );
  });
});

function shorten(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
