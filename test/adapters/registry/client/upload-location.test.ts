import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  parseUploadLocation,
  withDigest,
} from '../../../../lib/adapters/registry/client/upload-location.ts';

describe('parseUploadLocation', () => {
  const posted = '/v2/a/blobs/uploads/';
  const cases = [
    [
      'a path',
      'https://reg.test',
      '/v2/a/blobs/uploads/1?_state=x',
      'https://reg.test/v2/a/blobs/uploads/1?_state=x',
    ],
    ['a relative path', 'https://reg.test', '1?s=x', 'https://reg.test/v2/a/blobs/uploads/1?s=x'],
    ['an absolute URL', 'https://reg.test', 'https://reg.test/u/1', 'https://reg.test/u/1'],
    ['another host', 'https://reg.test', 'https://cdn.test/u/1', 'https://cdn.test/u/1'],
    ['http of the same host', 'https://reg.test', 'http://reg.test/u/1', 'https://reg.test/u/1'],
    [
      'http of the same host with a port',
      'https://reg.test:5000',
      'http://reg.test:5000/u/1',
      'https://reg.test:5000/u/1',
    ],
    [
      'http that lost the port',
      'https://reg.test:5000',
      'http://reg.test/u/1',
      'https://reg.test:5000/u/1',
    ],
    [
      'https that lost the port',
      'https://reg.test:5000',
      'https://reg.test/u/1',
      'https://reg.test:5000/u/1',
    ],
    [
      'http with :80 of the same host',
      'https://reg.test',
      'http://reg.test:80/u/1',
      'https://reg.test/u/1',
    ],
    ['https with :443', 'https://reg.test', 'https://reg.test:443/u/1', 'https://reg.test/u/1'],
    [
      'http of a registry with http',
      'http://reg.test:5000',
      'http://other.test/u/1',
      'http://other.test/u/1',
    ],
  ] as const;
  for (const [what, registry, location, expected] of cases) {
    it(`resolves an upload Location: ${what}`, () => {
      assert.equal(parseUploadLocation(location, new URL(posted, registry)).href, expected);
    });
  }

  const refused = [
    ['a missing Location', undefined, 'starting an upload: its Location is missing or invalid'],
    ['an invalid URL', 'https://[', 'starting an upload: its Location is missing or invalid'],
    [
      'another host in plain http',
      'http://other.test/u/1',
      'starting an upload: its Location leads from https to plain http',
    ],
    [
      'another protocol',
      'ftp://other.test/',
      'starting an upload: its Location leads from https to plain http',
    ],
  ] as const;
  for (const [what, location, message] of refused) {
    it(`rejects an upload Location: ${what}`, () => {
      assert.throws(() => parseUploadLocation(location, new URL(posted, 'https://reg.test')), {
        name: 'RegistryError',
        reason: 'REFUSED',
        message,
      });
    });
  }
});

describe('withDigest', () => {
  const cases = [
    ['https://r.test/u/1', 'https://r.test/u/1?digest=sha256%3Aab'],
    ['https://r.test/u/1?', 'https://r.test/u/1?digest=sha256%3Aab'],
    [
      'https://r.test/u/1?_state=a+b%2Fc%20d~*==&X-Sig=%e2',
      'https://r.test/u/1?_state=a+b%2Fc%20d~*==&X-Sig=%e2&digest=sha256%3Aab',
    ],
  ] as const;
  for (const [location, expected] of cases) {
    it(`adds the digest to an upload URL and keeps the query of ${location}`, () => {
      assert.equal(withDigest(new URL(location), 'sha256:ab').href, expected);
    });
  }
});
