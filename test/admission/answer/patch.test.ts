import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodePatch, escapePointer } from '../../../lib/admission/answer/patch.ts';

describe('escapePointer', () => {
  const cases = [
    ['image-cloner/original-images', 'image-cloner~1original-images'],
    ['a~b', 'a~0b'],
    ['~1', '~01'],
    ['~/', '~0~1'],
    ['plain', 'plain'],
  ] as const;
  for (const [segment, expected] of cases) {
    it(`escapes ${segment} as ${expected} in a JSON pointer`, () => {
      assert.equal(escapePointer(segment), expected);
    });
  }
});

describe('encodePatch', () => {
  it('encodes the operations of a patch as base64', () => {
    const patch = encodePatch([{ op: 'add', path: '/metadata', value: { a: 'b' } }]);

    // printf '%s' '[{"op":"add","path":"/metadata","value":{"a":"b"}}]' | base64 -w0
    assert.equal(patch, 'W3sib3AiOiJhZGQiLCJwYXRoIjoiL21ldGFkYXRhIiwidmFsdWUiOnsiYSI6ImIifX1d');
  });

  const texts = {
    'letters beyond ASCII': 'Grüße, 世界',
    'surrogate pairs': '🚢',
    'a lone surrogate': '\ud83d',
    'control characters': 'a\u0000b\u001bc\u007f\u2028',
  };
  for (const [name, value] of Object.entries(texts)) {
    it(`encodes ${name} of a patch as ASCII without loss`, () => {
      const json = Buffer.from(encodePatch([{ op: 'test', path: '/x', value }]), 'base64');
      const decoded: unknown = JSON.parse(json.toString('latin1'));

      assert.deepEqual(decoded, [{ op: 'test', path: '/x', value }]);
      assert.match(json.toString('latin1'), /^[\x20-\x7e]*$/);
    });
  }
});
