import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hasTooManyObjects } from '../../../functions/webhook/body.ts';

describe('hasTooManyObjects', () => {
  it('counts the objects and lists of a large review body', () => {
    assert.equal(hasTooManyObjects('[]'.repeat(500_000)), false);
    assert.equal(hasTooManyObjects('{}'.repeat(500_001)), true);
    assert.equal(hasTooManyObjects('a'.repeat(600_000)), false);
  });
});
