import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { toPrintable } from '../../lib/util/printable.ts';

describe('toPrintable', () => {
  const cases = [
    ['plain text', 'plain text'],
    ['a\r\nb', 'a b'],
    ['\u0000\u0007', ' '],
    ['\u2028\u2029', ' '],
    ['right-to-left \u202e override', 'right-to-left   override'],
    ['lone \ud800 half', 'lone \ufffd half'],
    ['Grüße 🚢', 'Grüße 🚢'],
  ] as const;
  for (const [text, expected] of cases) {
    it(`toPrintable turns ${JSON.stringify(text)} into ${JSON.stringify(expected)}`, () => {
      assert.equal(toPrintable(text), expected);
    });
  }
});
