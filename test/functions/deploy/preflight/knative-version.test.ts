import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isOlder } from '../../../../functions/deploy/preflight/knative-version.ts';

describe('isOlder', () => {
  const cases = [
    { version: '1.16.2', expected: true },
    { version: 'v1.9', expected: true },
    { version: '0.26.0', expected: true },
    { version: '1.17.0', expected: false },
    { version: '1.23.1', expected: false },
    { version: '2.0.0', expected: false },
    { version: 'devel', expected: false },
    { version: 'v20260801-98e5ef9', expected: false },
    { version: '', expected: false },
  ];
  for (const { version, expected } of cases) {
    it(`isOlder is ${expected} for Knative version "${version}" and minimum 1.17`, () => {
      assert.equal(isOlder(version, '1.17'), expected);
    });
  }
});
