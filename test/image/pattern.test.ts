import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseImagePattern } from '../../lib/image/pattern.ts';
import { canonicalRepository, parseReference } from '../../lib/image/reference.ts';
import { anyReference } from '../support/references.ts';

const D = `sha256:${'d'.repeat(64)}`;

describe('parseImagePattern', () => {
  const cases: readonly {
    readonly pattern: string;
    readonly matches: readonly string[];
    readonly misses: readonly string[];
  }[] = [
    {
      pattern: 'nginx',
      matches: ['nginx', 'nginx:1.27', `nginx@${D}`, 'docker.io/library/nginx:1'],
      misses: ['bitnami/nginx', 'nginx2', 'mynginx', 'quay.io/library/nginx', 'nginx/nginx'],
    },
    {
      pattern: 'bitnami/*',
      matches: ['bitnami/nginx', 'bitnami/redis:7'],
      misses: ['bitnami/a/b', 'bitnami2/nginx', 'quay.io/bitnami/nginx', 'nginx'],
    },
    {
      pattern: 'docker.io/nginx',
      matches: ['nginx', 'docker.io/nginx:1'],
      misses: ['bitnami/nginx'],
    },
    { pattern: 'index.docker.io/library/nginx', matches: ['nginx:1'], misses: ['bitnami/nginx'] },
    {
      pattern: 'docker.io/**',
      matches: ['nginx', 'bitnami/nginx:1', 'a/b/c'],
      misses: ['quay.io/a', 'docker.io.evil.com/a', 'registry-1.docker.io/a/b'],
    },
    {
      pattern: 'quay.io/**',
      matches: ['quay.io/a', 'quay.io/a/b/c:1'],
      misses: ['quay.io.evil/a', 'evil.com/quay.io/a', 'docker.io/quay.io/a', 'quayxio.com/a'],
    },
    {
      pattern: 'registry.corp:5000/team/*',
      matches: ['registry.corp:5000/team/a:1'],
      misses: ['registry.corp/team/a', 'registry.corp:5000/team/a/b', 'registry.corp:50000/team/a'],
    },
    {
      pattern: '*.corp/**',
      matches: ['a.corp/x', 'b.a.corp/x/y'],
      misses: ['corp.evil/x', 'a.corp.evil/x', 'x'],
    },
    { pattern: '**', matches: ['nginx', 'quay.io/a/b:1', `x@${D}`], misses: [] },
    { pattern: '**/nginx', matches: ['nginx', 'quay.io/a/nginx:1'], misses: ['quay.io/a/nginx2'] },
    { pattern: '*', matches: ['nginx', 'alpine:3'], misses: ['a/b', 'quay.io/a'] },
    {
      pattern: 'nginx:1.27',
      matches: ['nginx:1.27'],
      misses: ['nginx', 'nginx:1.271', 'nginx:1x27', 'nginx:1.2'],
    },
    { pattern: 'nginx:1.*', matches: ['nginx:1.27', 'nginx:1.'], misses: ['nginx:11', 'nginx:2'] },
    { pattern: 'nginx:latest', matches: ['nginx', 'nginx:latest'], misses: [`nginx@${D}`] },
    { pattern: '**:dev', matches: ['quay.io/a:dev', 'x:dev'], misses: ['x', 'x:dev2', 'x:mydev'] },
    { pattern: `nginx@${D}`, matches: [`nginx@${D}`], misses: ['nginx', `nginx:1@${D}`] },
    { pattern: '**@sha256:*', matches: [`nginx@${D}`, `quay.io/a:1@${D}`], misses: ['nginx:1'] },
    { pattern: '[::1]:5000/**', matches: ['[::1]:5000/a'], misses: ['localhost:5000/a'] },
    // Metacharacters of regular expressions are literals.
    { pattern: 'quay.io/a.b', matches: ['quay.io/a.b'], misses: ['quay.io/axb'] },
    { pattern: 'a.b/[a-z]', matches: [], misses: ['a.b/c'] },
    { pattern: 'gcr.io/**-dev', matches: ['gcr.io/a/b-dev'], misses: ['gcr.io/a/b', 'gcr.io/dev'] },
    { pattern: 'gcr.io/a*b*c', matches: ['gcr.io/abc', 'gcr.io/axbbxc'], misses: ['gcr.io/a/bc'] },
    { pattern: 'gcr.io/a***b', matches: ['gcr.io/ab', 'gcr.io/a/b'], misses: ['gcr.io/a'] },
  ];
  for (const { pattern, matches, misses } of cases) {
    for (const image of matches) {
      it(`matches the image ${image.slice(0, 40)} with the pattern ${pattern.slice(0, 40)}`, () => {
        assert.equal(parseImagePattern(pattern).matches(parseReference(image)), true);
      });
    }
    for (const image of misses) {
      it(`does not match the image ${image.slice(0, 40)} with the pattern ${pattern.slice(0, 40)}`, () => {
        assert.equal(parseImagePattern(pattern).matches(parseReference(image)), false);
      });
    }
  }

  for (const text of [
    '',
    'a b',
    'a+',
    '(a)',
    'a|b',
    '^a',
    'a$',
    'a\\b',
    'a?',
    'a{2}',
    'a\n',
    'ä',
  ]) {
    it(`refuses the pattern ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseImagePattern(text), {
        name: 'CloneError',
        code: 'INVALID_REFERENCE',
        message: `${JSON.stringify(text)} is not an image pattern`,
      });
    });
  }

  it('keeps the text of an image pattern as it was written', () => {
    assert.equal(parseImagePattern('nginx').text, 'nginx');
  });

  const long = parseReference(`quay.io/${'a'.repeat(255)}`);
  const hostile = {
    '200 runs of **': `**${'a**'.repeat(200)}b`,
    '200 runs of *': `quay.io/${'a*'.repeat(200)}b`,
    '200 ** side by side': `${'**'.repeat(200)}b`,
    'alternating runs': `quay.io/${'a***'.repeat(200)}b`,
  };
  for (const [name, pattern] of Object.entries(hostile)) {
    it(`matches an image pattern of ${name} in bounded time`, { timeout: 20_000 }, () => {
      assert.equal(parseImagePattern(pattern).matches(long), false);
    });
  }

  it('matches every image with a pattern of its full name, and of ** before any end of it', () => {
    fc.assert(
      fc.property(anyReference, fc.nat(), (image, cut) => {
        const name = canonicalRepository(image);
        assert(parseImagePattern(name).matches(image));
        assert(parseImagePattern(`**${name.slice(cut % name.length)}`).matches(image));
      }),
    );
  });
});
