import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { editDistance } from '../../lib/util/edit-distance.ts';

describe('editDistance', () => {
  const cases = [
    { a: '', b: '', distance: 0 },
    { a: 'port', b: '', distance: 4 },
    { a: '', b: 'port', distance: 4 },
    { a: 'port', b: 'port', distance: 0 },
    { a: 'ports', b: 'port', distance: 1 },
    { a: 'por', b: 'port', distance: 1 },
    { a: 'part', b: 'port', distance: 1 },
    { a: 'prot', b: 'port', distance: 1 },
    { a: 'opt', b: 'port', distance: 2 },
    { a: 'refersh', b: 'refresh', distance: 1 },
    { a: 'ca', b: 'abc', distance: 3 },
    { a: 'SSL_CERT_FILE', b: 'TLS_CERT_FILE', distance: 3 },
  ];
  for (const { a, b, distance } of cases) {
    it(`counts ${distance} edits between "${a}" and "${b}"`, () => {
      assert.equal(editDistance(a, b), distance);
    });
  }
});
