import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  formatOriginalImages,
  originalImagesAnnotation,
  parseOriginalImages,
} from '../../lib/admission/original-images.ts';

describe('originalImagesAnnotation', () => {
  it('keeps the name of the annotation image-cloner/original-images', () => {
    assert.equal(originalImagesAnnotation, 'image-cloner/original-images');
  });
});

describe('formatOriginalImages', () => {
  it('sorts the original images in the annotation by place', () => {
    const images = new Map([
      ['initContainers/a', 'busybox'],
      ['containers/b', 'nginx:1.27'],
      ['containers/a', 'redis'],
    ]);

    assert.equal(
      formatOriginalImages(images),
      '{"containers/a":"redis","containers/b":"nginx:1.27","initContainers/a":"busybox"}',
    );
  });

  it('writes the original image of a container named __proto__', () => {
    const text = formatOriginalImages(new Map([['__proto__', 'nginx']]));

    assert.equal(text, '{"__proto__":"nginx"}');
  });
});

describe('parseOriginalImages', () => {
  it('reads the annotation of original images as it was written', () => {
    const read = parseOriginalImages('{"containers/a":"redis","containers/b":"nginx:1.27"}');

    assert.deepEqual(
      [...read],
      [
        ['containers/a', 'redis'],
        ['containers/b', 'nginx:1.27'],
      ],
    );
  });

  const invalid = [
    undefined,
    '',
    'nginx',
    '[]',
    '["a"]',
    'null',
    '1',
    '"a"',
    '{"a":1}',
    '{"a":',
    '{"a":{}}',
  ];
  for (const text of invalid) {
    it(`returns no original images for the annotation ${String(text)}`, () => {
      assert.deepEqual([...parseOriginalImages(text)], []);
    });
  }

  it('reads an original images annotation with the key __proto__ without prototype pollution', () => {
    const read = parseOriginalImages('{"__proto__":"nginx","containers/a":"redis"}');

    assert.equal(read.get('containers/a'), 'redis');
    assert.equal(read.get('toString'), undefined);
  });
});
