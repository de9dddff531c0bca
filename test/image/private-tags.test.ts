import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { privateTag, privateToNobodyTag, privateToTag } from '../../lib/image/private-tags.ts';
import { copyTag } from '../../lib/image/tags.ts';

const digest = `sha256:${'0123456789abcdef'.repeat(4)}`;

describe('privateTag', () => {
  it('is about a digest', () => {
    assert.equal(privateTag(digest), 'private.0123456789abcdef0123456789abcdef');
  });
});

describe('privateToTag', () => {
  // printf '["blue","shop"]' | sha256sum
  it('hashes cluster and namespace together', () => {
    assert.equal(
      privateToTag(digest, { cluster: 'blue', namespace: 'shop' }),
      'private.0123456789abcdef0123456789abcdef.42d61447832b14d5ae6686dc6b661b20',
    );
  });

  it('is another one for every cluster and every namespace', () => {
    const audiences = [
      { cluster: 'blue', namespace: 'shop' },
      { cluster: 'green', namespace: 'shop' },
      { cluster: 'blue', namespace: 'bank' },
      { cluster: 'blu', namespace: 'eshop' },
      { cluster: '', namespace: 'shop' },
    ];

    const tags = new Set(audiences.map((audience) => privateToTag(digest, audience)));

    assert.equal(tags.size, audiences.length);
  });
});

describe('privateToNobodyTag', () => {
  // printf '["anybody"]' | sha256sum
  it('is the audience of no cluster and no namespace', () => {
    assert.equal(
      privateToNobodyTag(digest),
      'private.0123456789abcdef0123456789abcdef.dbadd4d673d056646a305dba0a9f01ac',
    );
  });

  it('is kept apart from a source that has a tag of its name', () => {
    assert.notEqual(copyTag(privateToNobodyTag(digest)), privateToNobodyTag(digest));
  });
});
