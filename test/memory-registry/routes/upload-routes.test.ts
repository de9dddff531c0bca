import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { codeOf, createSample, digests, startUpload, withDigest } from '../sample.ts';

const octets = { 'content-type': 'application/octet-stream' };

describe('/v2/NAME/blobs/uploads/', () => {
  it('starts an upload with an absolute Location and a _state query', async () => {
    const { app, store } = createSample();

    const response = await app.request('http://reg.test:5000/v2/app/blobs/uploads/', {
      method: 'POST',
    });

    const uuid = response.headers.get('docker-upload-uuid');
    assert.equal(response.status, 202);
    assert.equal(response.headers.get('range'), '0-0');
    assert.ok(
      response.headers
        .get('location')
        ?.startsWith(`http://reg.test:5000/v2/app/blobs/uploads/${uuid}?_state=`),
    );
    assert.deepEqual(
      store.uploads.list().map(({ repository, size }) => ({ repository, size })),
      [{ repository: 'app', size: 0 }],
    );
  });

  const bodies = [
    { title: 'a body', body: 'abc', digest: digests.abc },
    { title: 'an empty body', body: '', digest: digests.empty },
    {
      title: 'a sha512 digest',
      body: 'abc',
      digest:
        'sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
    },
  ];
  for (const { title, body, digest } of bodies) {
    it(`completes an upload by a PUT with ${title}`, async () => {
      const registry = createSample();
      const location = await startUpload(registry);

      const response = await registry.app.request(withDigest(location, digest), {
        method: 'PUT',
        body,
      });

      assert.equal(response.status, 201);
      assert.equal(response.headers.get('docker-content-digest'), digest);
      assert.equal(response.headers.get('location'), `http://localhost/v2/app/blobs/${digest}`);
      assert.deepEqual(registry.store.uploads.list(), []);
      const stored = await registry.app.request(`/v2/app/blobs/${digest}`);
      assert.equal(await stored.text(), body);
    });
  }

  it('accepts an upload in chunks, each with a new Location', async () => {
    const registry = createSample();
    const first = await registry.app.request(await startUpload(registry), {
      method: 'PATCH',
      headers: { ...octets, 'content-range': '0-0', 'content-length': '1' },
      body: 'a',
    });
    const second = await registry.app.request(first.headers.get('location') ?? '', {
      method: 'PATCH',
      headers: { ...octets, 'content-range': '1-2' },
      body: 'bc',
    });
    const location = new URL(second.headers.get('location') ?? '');
    const status = await registry.app.request(location);
    const end = await registry.app.request(withDigest(location, digests.abc), { method: 'PUT' });

    assert.deepEqual([first.status, first.headers.get('range')], [202, '0-0']);
    assert.deepEqual([second.status, second.headers.get('range')], [202, '0-2']);
    assert.deepEqual([status.status, status.headers.get('range')], [204, '0-2']);
    assert.equal(end.status, 201);
  });

  const rejected = [
    {
      title: 'an out-of-order chunk',
      headers: { 'content-range': '5-7' },
      status: 416,
      code: 'RANGE_INVALID',
    },
    {
      title: 'a Content-Range with a unit',
      headers: { 'content-range': 'bytes 0-2' },
      status: 416,
      code: 'RANGE_INVALID',
    },
    {
      title: 'a Content-Range that contradicts Content-Length',
      headers: { 'content-range': '0-9', 'content-length': '3' },
      status: 400,
      code: 'SIZE_INVALID',
    },
    {
      title: 'a chunk of type text/plain',
      headers: { 'content-type': 'text/plain' },
      status: 500,
      code: 'UNKNOWN',
    },
  ];
  for (const { title, headers, status, code } of rejected) {
    it(`rejects ${title} and keeps the upload session unchanged`, async () => {
      const registry = createSample();

      const response = await registry.app.request(await startUpload(registry), {
        method: 'PATCH',
        headers: { ...octets, ...headers },
        body: 'abc',
      });

      assert.equal(response.status, status);
      assert.equal(await codeOf(response), code);
      assert.equal(registry.store.uploads.list().at(0)?.size, 0);
    });
  }

  it('rejects a wrong digest and ends the upload session', async () => {
    const registry = createSample();
    const location = await startUpload(registry);

    const wrong = await registry.app.request(withDigest(location, digests.abc), {
      method: 'PUT',
      body: 'abd',
    });
    const again = await registry.app.request(withDigest(location, digests.abc), {
      method: 'PUT',
      body: 'abc',
    });

    assert.deepEqual([wrong.status, await codeOf(wrong)], [400, 'DIGEST_INVALID']);
    assert.deepEqual([again.status, await codeOf(again)], [404, 'BLOB_UPLOAD_UNKNOWN']);
    assert.deepEqual(registry.store.blobs('app'), [digests.config, digests.layer]);
  });

  it('rejects a PUT without a digest and keeps the upload session', async () => {
    const registry = createSample();

    const response = await registry.app.request(await startUpload(registry), { method: 'PUT' });

    assert.deepEqual([response.status, await codeOf(response)], [400, 'DIGEST_INVALID']);
    assert.equal(registry.store.uploads.list().length, 1);
  });

  it('rejects an upload whose _state is missing, altered, outdated or of another repository', async () => {
    const registry = createSample();
    const location = await startUpload(registry);
    await registry.app.request(location, { method: 'PATCH', headers: octets, body: 'abc' });
    const altered = new URL(location);
    altered.searchParams.set('_state', location.searchParams.get('_state')?.slice(3) ?? '');

    for (const url of [
      location.href,
      altered.href,
      `${location.origin}${location.pathname}`,
      location.href.replace('/app/', '/other/'),
    ]) {
      const response = await registry.app.request(url);
      assert.deepEqual([response.status, await codeOf(response)], [404, 'BLOB_UPLOAD_INVALID']);
    }
    assert.equal(registry.store.uploads.list().length, 1);
  });

  it('cancels an upload session on DELETE', async () => {
    const registry = createSample();
    const location = await startUpload(registry);

    const cancelled = await registry.app.request(location, { method: 'DELETE' });
    const status = await registry.app.request(location);

    assert.equal(cancelled.status, 204);
    assert.deepEqual([status.status, await codeOf(status)], [404, 'BLOB_UPLOAD_UNKNOWN']);
    assert.deepEqual(registry.store.uploads.list(), []);
  });
});
