import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  formatOriginalImages,
  originalImagesAnnotation,
  parseOriginalImages,
} from '../../lib/admission/original-images.ts';

describe('originalImagesAnnotation', () => {
  it('has the name that restore and the README rely on', () => {
    assert.equal(originalImagesAnnotation, 'image-cloner/original-images');
  });
});

describe('formatOriginalImages', () => {
  it('sorts by place, so that the same images are the same text', () => {
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

  it('keeps a container called __proto__', () => {
    const text = formatOriginalImages(new Map([['__proto__', 'nginx']]));

    assert.equal(text, '{"__proto__":"nginx"}');
  });
});

describe('parseOriginalImages', () => {
  it('reads what formatOriginalImages writes', () => {
    const read = parseOriginalImages('{"containers/a":"redis","containers/b":"nginx:1.27"}');

    assert.deepEqual(
      [...read],
      [
        ['containers/a', 'redis'],
        ['containers/b', 'nginx:1.27'],
      ],
    );
  });

  const nonsense = [
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
  for (const text of nonsense) {
    it(`knows nothing from ${String(text)}`, () => {
      assert.deepEqual([...parseOriginalImages(text)], []);
    });
  }

  it('is not fooled by __proto__', () => {
    const read = parseOriginalImages('{"__proto__":"nginx","containers/a":"redis"}');

    assert.equal(read.get('containers/a'), 'redis');
    assert.equal(read.get('toString'), undefined);
  });
});
