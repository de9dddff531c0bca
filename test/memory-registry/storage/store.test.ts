import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  createMemoryRegistry,
  makeImage,
  makeIndex,
  seed,
} from '../../../lib/memory-registry/index.ts';
import { digests, toBytes } from '../sample.ts';

describe('seed', () => {
  it('seed stores an image with its children, also of an index in an index', () => {
    const { store } = createMemoryRegistry();
    const inner = makeIndex([makeImage({ layers: [toBytes('hello')] })]);
    const outer = makeIndex([inner, makeImage({ platform: 'linux/arm64' })]);

    seed({ store }, 'library/nginx:1.27', outer);

    assert.equal(store.manifest('library/nginx', '1.27')?.digest, outer.digest);
    assert.equal(store.manifests('library/nginx').length, 4);
    assert.ok(store.blobs('library/nginx').includes(digests.layer));
  });

  it('seed stores an image only by its digest if the name has no tag', () => {
    const registry = createMemoryRegistry();

    const { digest } = seed(registry, 'app', makeImage());

    assert.deepEqual(registry.store.tags('app'), []);
    assert.deepEqual(registry.store.manifests('app'), [digest]);
  });
});
