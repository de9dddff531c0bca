import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { namespaceGrantTag, privateTag, publicGrantTag } from '../../lib/image/private-tags.ts';
import { copyTag } from '../../lib/image/tags.ts';

const digest = `sha256:${'0123456789abcdef'.repeat(4)}`;

describe('privateTag', () => {
  it('marks a private digest by its first 32 hex digits', () => {
    assert.equal(privateTag(digest), 'private.0123456789abcdef0123456789abcdef');
  });
});

describe('namespaceGrantTag', () => {
  // printf '["blue","shop"]' | sha256sum
  it('hashes the cluster and the namespace of a grant for a private copy together', () => {
    assert.equal(
      namespaceGrantTag(digest, { cluster: 'blue', namespace: 'shop' }),
      'private.0123456789abcdef0123456789abcdef.42d61447832b14d5ae6686dc6b661b20',
    );
  });

  it('makes different grants for private copies of different clusters and namespaces', () => {
    const namespaces = [
      { cluster: 'blue', namespace: 'shop' },
      { cluster: 'green', namespace: 'shop' },
      { cluster: 'blue', namespace: 'bank' },
      { cluster: 'blu', namespace: 'eshop' },
      { cluster: '', namespace: 'shop' },
    ];

    const tags = new Set(namespaces.map((namespace) => namespaceGrantTag(digest, namespace)));

    assert.equal(tags.size, namespaces.length);
  });
});

describe('publicGrantTag', () => {
  // printf '["anybody"]' | sha256sum
  it('makes the grant of a public copy with a hash of its own', () => {
    assert.equal(
      publicGrantTag(digest),
      'private.0123456789abcdef0123456789abcdef.dbadd4d673d056646a305dba0a9f01ac',
    );
  });

  it('makes the grant of a public copy so that no source with the same tag can forge it', () => {
    assert.notEqual(copyTag(publicGrantTag(digest)), publicGrantTag(digest));
  });
});
