import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { describe, it } from 'node:test';
import { on, serveMemoryRegistry } from '../../lib/memory-registry/index.ts';
import { makeCertificate } from '../support/certificate.ts';
import { createSample, digests, toBytes, withDigest } from './sample.ts';

describe('serveMemoryRegistry', () => {
  it('reopens a closed memory registry on the same port with its contents', async () => {
    const served = await serveMemoryRegistry({ registry: createSample() });
    const get = async (): Promise<number> => (await fetch(`${served.url}/v2/app/tags/list`)).status;
    const refused = { name: 'TypeError', message: 'fetch failed' };

    assert.equal(await get(), 200);
    await served.close();
    await assert.rejects(get(), refused);
    await served.reopen();
    assert.equal(await get(), 200);
    await served.close();
    await assert.rejects(get(), refused);
  });

  it('rejects the start of a memory registry with EADDRINUSE if the port is in use', async () => {
    const served = await serveMemoryRegistry({ registry: createSample() });
    const port = Number(served.host.split(':')[1]);

    const second = serveMemoryRegistry({ registry: createSample(), port });

    await assert.rejects(second, { name: 'Error', code: 'EADDRINUSE' });
    await served.close();
  });

  it('serves a memory registry over HTTPS, with https in upload Locations', async () => {
    const tls = await makeCertificate('01');
    const served = await serveMemoryRegistry({ registry: createSample(), tls });
    const { promise, resolve } = Promise.withResolvers<string | undefined>();

    httpsRequest(
      `${served.url}/v2/app/blobs/uploads/`,
      { method: 'POST', ca: tls.cert, agent: false },
      (response) => {
        response.resume();
        resolve(response.headers.location);
      },
    ).end();

    assert.ok((await promise)?.startsWith(`https://${served.host}/v2/app/blobs/uploads/`));
    await served.close();
  });

  it('asks the client to close the connection of a manifest that it did not read to the end', async () => {
    const served = await serveMemoryRegistry({ registry: createSample() });

    const response = await fetch(`${served.url}/v2/app/manifests/1`, {
      method: 'PUT',
      body: new Uint8Array(5 * 1024 * 1024),
    });

    assert.deepEqual([response.status, response.headers.get('connection')], [413, 'close']);
    await served.close();
  });

  it('stores and returns a blob of 8 MiB in many chunks over HTTP', async () => {
    const registry = createSample();
    const served = await serveMemoryRegistry({ registry });
    const chunk = toBytes('0123456789abcdef'.repeat(65_536));
    const started = await fetch(`${served.url}/v2/app/blobs/uploads/`, { method: 'POST' });
    // Computed with Python's hashlib.
    const digest = 'sha256:9343ca2c14fa88c511cc084fd569d5d444cdaae082bee8d0ed8efaf3a372b7b3';

    const completed = await fetch(
      withDigest(new URL(started.headers.get('location') ?? ''), digest),
      {
        method: 'PUT',
        body: ReadableStream.from(Array.from({ length: 8 }, () => chunk)),
        duplex: 'half',
      },
    );
    const blob = await fetch(`${served.url}/v2/app/blobs/${digest}`);

    assert.equal(completed.status, 201);
    assert.equal((await blob.arrayBuffer()).byteLength, 8 * 1024 * 1024);
    assert.equal(registry.requests.bytesIn(), 8 * 1024 * 1024);
    await served.close();
  });

  it('keeps the upload session and stores no blob if the client disconnects during the PUT', async () => {
    const registry = createSample();
    const served = await serveMemoryRegistry({ registry });
    const { promise, resolve } = Promise.withResolvers<number>();
    const arrived = Promise.withResolvers<undefined>();
    registry.faults.add(on('PUT', 'upload'), async (exchange, next) => {
      arrived.resolve(undefined);
      const response = await next(exchange);
      resolve(response.status);
      return response;
    });
    const started = await fetch(`${served.url}/v2/app/blobs/uploads/`, { method: 'POST' });

    const upload = httpRequest(
      withDigest(new URL(started.headers.get('location') ?? ''), digests.abc),
      { method: 'PUT', headers: { 'content-length': '3' }, agent: false },
    );
    upload.on('error', () => undefined);
    upload.write('ab');
    await arrived.promise;
    upload.destroy();

    assert.equal(await promise, 499);
    assert.equal(registry.store.uploads.list().length, 1);
    assert.equal(registry.store.blob('app', digests.abc), undefined);
    await served.close();
  });
});
