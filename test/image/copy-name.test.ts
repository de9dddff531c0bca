import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { locateCopy } from '../../lib/image/copy-name.ts';
import { parseReference } from '../../lib/image/reference.ts';

const a = `sha256:${'a'.repeat(64)}`;
const b = `sha256:${'b'.repeat(64)}`;
const aTag = `sha256.${'a'.repeat(64)}`;

const copies = [
  ['acme/nginx:1.27', 'nginx:1.27', 'docker.io acme flat'],
  ['acme/nginx', 'nginx', 'docker.io acme flat'],
  ['acme/nginx:latest', 'docker.io/library/nginx', 'docker.io acme flat'],
  ['old.example:5000/team/copies/nginx:1.27', 'nginx:1.27', 'old.example:5000 team/copies flat'],
  ['r.example/copies/bitnami__nginx:1.27', 'bitnami/nginx:1.27', 'r.example copies flat'],
  [
    'r.example/copies/quay.io__prometheus__node-exporter:v1.8.0',
    'quay.io/prometheus/node-exporter:v1.8.0',
    'r.example copies flat',
  ],
  ['r.example/copies/docker.io/library/nginx:1.27', 'nginx:1.27', 'r.example copies nested'],
  ['r.example/copies/ghcr.io/x/y:2', 'ghcr.io/x/y:2', 'r.example copies nested'],
  // printf %s registry.corp:5000/a/b | sha256sum
  [
    'r.example/copies/registry.corp-5000__a__b-7131e7600b55:1',
    'registry.corp:5000/a/b:1',
    'r.example copies flat',
  ],
  [`acme/nginx:1.27@${b}`, 'nginx:1.27', 'docker.io acme flat'],
  [`acme/nginx:1.27@${b}`, `nginx:1.27@${a}`, 'docker.io acme flat'],
  [`acme/ghcr.io__x__y:${aTag}@${b}`, `ghcr.io/x/y@${a}`, 'docker.io acme flat'],
  [`acme/nginx@${a}`, `nginx@${a}`, 'docker.io acme flat'],
  ['acme/nginx:1.27.bbbbbbbbbbbb', 'nginx:1.27', 'docker.io acme flat'],
  [`acme/nginx:1.27.bbbbbbbbbbbb@${b}`, 'nginx:1.27', 'docker.io acme flat'],
] as const;

const others = [
  ['nginx:1.27', 'nginx:1.27', 'the original itself'],
  ['nginx:1.28', 'nginx:1.27', 'another tag of the original'],
  ['acme/nginx:1.28', 'nginx:1.27', 'a copy of another tag'],
  ['acme/redis:7', 'evil.example/redis:7', 'a copy of another repository'],
  ['acme/my-nginx:1.27', 'nginx:1.27', 'a longer repository name'],
  ['r.example/nginx:1.27', 'nginx:1.27', 'a repository outside of any namespace'],
  ['acme/bitnami/nginx:1.27', 'bitnami/nginx:1.27', 'a path that neither naming makes'],
  [`acme/nginx@${b}`, `nginx@${a}`, 'another digest without a tag'],
  [`acme/nginx@${a}`, 'nginx:1.27', 'a digest of a tag'],
  [`acme/nginx:1.27.bbbbbbbbbbbb@${a}`, 'nginx:1.27', 'a generation tag of another digest'],
  ['acme/nginx:1.27.hold', 'nginx:1.27', 'a tag that marks a rollback'],
] as const;

function locate(image: string, original: string): string | undefined {
  const found = locateCopy(parseReference(image), parseReference(original));
  return found && `${found.domain} ${found.namespace} ${found.naming}`;
}

describe('locateCopy', () => {
  for (const [image, original, location] of copies) {
    it(`finds that ${image} is named as a copy of ${original}`, () => {
      assert.equal(locate(image, original), location);
    });
  }

  for (const [image, original, what] of others) {
    it(`takes ${image} for no copy of ${original}: it is ${what}`, () => {
      assert.equal(locate(image, original), undefined);
    });
  }
});
