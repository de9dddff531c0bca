import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import {
  caselessTags,
  createMemoryRegistry,
  immutableTags,
  type MemoryRegistry,
  makeImage,
  seed,
} from '../../../lib/memory-registry/index.ts';

const one = makeImage({ seed: 'one' });
const two = makeImage({ seed: 'two' });

describe('tag faults of a memory registry', () => {
  let registry: MemoryRegistry;
  beforeEach(() => {
    registry = createMemoryRegistry();
    seed(registry, 'app:1', one);
    seed(registry, 'app', two);
  });

  async function put(tag: string): Promise<Response> {
    const headers = { 'content-type': two.mediaType };
    const init = { method: 'PUT', headers, body: two.bytes };
    return await registry.app.request(`/v2/app/manifests/${tag}`, init);
  }

  it('caselessTags lists a tag in lower case and finds it in any', async () => {
    registry.faults.add(() => true, caselessTags());

    assert.equal((await put('V2-Alpine')).status, 201);

    const listed: unknown = await (await registry.app.request('/v2/app/tags/list')).json();
    assert.deepEqual(listed, { name: 'app', tags: ['1', 'v2-alpine'] });
    const found = await registry.app.request('/v2/app/manifests/v2-ALPINE');
    assert.equal(found.headers.get('docker-content-digest'), two.digest);
  });

  it('immutableTags writes a new tag, and refuses to write it again', async () => {
    registry.faults.add(() => true, immutableTags());

    assert.equal((await put('2')).status, 201);
    const refused = await put('1');

    assert.equal(refused.status, 400);
    assert.match(await refused.text(), /TAG_INVALID.*'1' already exists in the 'app' repository/);
    assert.equal(registry.store.manifest('app', '1')?.digest, one.digest);
    assert.equal((await put(two.digest)).status, 201);
  });
});
