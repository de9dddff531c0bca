import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, before, beforeEach, describe, it } from 'node:test';
import {
  answer,
  changeContentLength,
  changeHeaders,
  changeLocation,
  corruptBody,
  createHold,
  createTrickle,
  cutBody,
  dropConnection,
  type MemoryRegistry,
  on,
  redirect,
  refuseMount,
  rejectUpload,
  type ServedRegistry,
  serveMemoryRegistry,
} from '../../../lib/memory-registry/index.ts';
import { codeOf, createSample, digests, startUpload } from '../sample.ts';

const blobPath = `/v2/app/blobs/${digests.layer}`;
const users = { ann: 'secret' };

describe('faults of a memory registry', () => {
  let registry: MemoryRegistry;
  beforeEach(() => {
    registry = createSample();
  });

  const get = (path = blobPath): Promise<Response> => Promise.resolve(registry.app.request(path));

  it('applies a fault to matching requests, as often as `times` says', async () => {
    const fault = registry.faults.add(on('GET', 'blob'), answer(503), { times: 2 });

    const statuses = [];
    for (const path of ['/v2/', blobPath, blobPath, blobPath]) {
      statuses.push((await get(path)).status);
    }

    assert.deepEqual(statuses, [200, 503, 503, 200]);
    assert.equal(fault.hits(), 2);
  });

  it('removes one fault with end() and all faults with clear()', async () => {
    const first = registry.faults.add(() => true, answer(503));
    registry.faults.add(on('GET', 'base'), answer(502));

    first.end();
    assert.equal((await get()).status, 200);
    assert.equal((await get('/v2/')).status, 502);

    registry.faults.clear();
    assert.equal((await get('/v2/')).status, 200);
  });

  it('applies a fault after authentication unless it has beforeAuth', async () => {
    registry = createSample({ auth: { scheme: 'basic', users } });
    const inside = registry.faults.add(on('GET', 'blob'), answer(503));
    assert.equal((await get()).status, 401);
    assert.equal(inside.hits(), 0);

    registry.faults.add(on('GET', 'blob'), answer(500), { beforeAuth: true });
    assert.equal((await get()).status, 500);
  });

  it('answers a faulty request with the given status, headers and body', async () => {
    registry.faults.add(on('GET', 'blob'), answer(429, { headers: { 'retry-after': '7' } }), {
      times: 1,
    });
    registry.faults.add(on('GET', 'blob'), answer(502, { body: '<html>' }));

    const limited = await get();
    const proxied = await get();

    assert.deepEqual([limited.status, limited.headers.get('retry-after')], [429, '7']);
    assert.equal(await codeOf(limited), 'TOOMANYREQUESTS');
    assert.deepEqual([proxied.status, await proxied.text()], [502, '<html>']);
  });

  it('redirects a faulty request to a URL computed from the requested one', async () => {
    registry.faults.add(
      on('GET', 'blob'),
      redirect(({ pathname }) => `http://cdn.test${pathname}`),
    );

    const response = await get();

    assert.equal(response.status, 307);
    assert.equal(response.headers.get('location'), `http://cdn.test${blobPath}`);
  });

  it('sets and removes response headers by a fault', async () => {
    registry.faults.add(
      on('GET', 'blob'),
      changeHeaders({ 'docker-content-digest': undefined, 'content-encoding': 'gzip' }),
    );

    const { headers } = await get();

    assert.equal(headers.get('docker-content-digest'), null);
    assert.equal(headers.get('content-encoding'), 'gzip');
  });

  it('rewrites the Location of an upload', async () => {
    registry.faults.add(
      on('POST', 'uploads'),
      changeLocation(({ pathname }) => pathname),
    );

    const response = await registry.app.request('/v2/app/blobs/uploads/', { method: 'POST' });

    assert.match(response.headers.get('location') ?? '', /^\/v2\/app\/blobs\/uploads\/[0-9a-f-]+$/);
  });

  it('corrupts one byte of the response and not the stored blob', async () => {
    registry.faults.add(on('GET', 'blob'), corruptBody(1), { times: 1 });

    assert.equal(await (await get()).text(), 'hdllo');
    assert.equal(await (await get()).text(), 'hello');
  });

  it('rejects a mount by starting an upload or with a status', async () => {
    const path = `/v2/other/blobs/uploads/?mount=${digests.layer}&from=app`;

    registry.faults.add(on('POST', 'uploads'), refuseMount(), { times: 1 });
    const started = await registry.app.request(path, { method: 'POST' });
    registry.faults.add(on('POST', 'uploads'), refuseMount(405));
    const refused = await registry.app.request(path, { method: 'POST' });
    const plain = await registry.app.request('/v2/other/blobs/uploads/', { method: 'POST' });

    assert.deepEqual([started.status, refused.status, plain.status], [202, 405, 202]);
    assert.deepEqual(registry.store.blobs('other'), []);
  });

  it('rejects an upload with 413 after the given number of bytes', async () => {
    registry.faults.add(on('PUT', 'upload'), rejectUpload(10));
    const chunks = Array.from({ length: 10 }, () => new Uint8Array(4));

    const response = await registry.app.request(await startUpload(registry), {
      method: 'PUT',
      body: ReadableStream.from(chunks),
      duplex: 'half',
    });

    assert.equal(response.status, 413);
    assert.equal(registry.requests.list({ method: 'PUT' }).at(0)?.bytesIn, 12);
  });

  it('holds requests until the hold is released', async () => {
    const hold = createHold();
    registry.faults.add(on('GET', 'blob'), hold.fault);
    const held = [get(), get()];

    await hold.waiting(2);
    hold.release();

    assert.deepEqual(
      (await Promise.all(held)).map(({ status }) => status),
      [200, 200],
    );
    assert.equal((await get()).status, 200);
  });

  it('sends only the released bytes of a response body', async () => {
    const trickle = createTrickle();
    registry.faults.add(on('GET', 'blob'), trickle.fault);
    const reader = (await get()).body?.getReader();

    trickle.release(2);
    const first = await reader?.read();
    const waiting = reader?.read();
    trickle.releaseAll();
    const rest = await waiting;

    assert.equal(Buffer.from(first?.value ?? []).toString(), 'he');
    assert.equal(Buffer.from(rest?.value ?? []).toString(), 'llo');
  });

  it('reports a dropped connection and a cut body as ECONNRESET to an in-process request', async () => {
    registry.faults.add(on('GET', 'base'), dropConnection());
    registry.faults.add(on('GET', 'blob'), cutBody(3));

    await assert.rejects(get('/v2/'), { name: 'Error', code: 'ECONNRESET' });
    await assert.rejects((await get()).text(), { name: 'Error', code: 'ECONNRESET' });
  });
});

describe('faults of a served memory registry', () => {
  let registry: MemoryRegistry;
  let served: ServedRegistry;
  before(async () => {
    registry = createSample();
    served = await serveMemoryRegistry({ registry });
  });
  after(() => served.close());
  beforeEach(() => registry.faults.clear());

  interface Received {
    readonly status?: number;
    readonly length?: string | undefined;
    readonly body: string;
    /** Code of the error that completed the response early. */
    readonly error?: string;
  }

  /** Fetches a path and returns what arrived, even if the response is incomplete. */
  function receive(path: string): Promise<Received> {
    const { promise, resolve } = Promise.withResolvers<Received>();
    const outgoing = request(`${served.url}${path}`, { agent: false }, (response) => {
      let body = '';
      const head = { status: response.statusCode ?? 0, length: response.headers['content-length'] };
      response.setEncoding('latin1');
      response.on('data', (text: string) => {
        body += text;
      });
      response.on('end', () => resolve({ ...head, body }));
      response.on('error', (error: NodeJS.ErrnoException) =>
        resolve({ ...head, body, error: error.code ?? error.message }),
      );
    });
    outgoing.on('error', (error: NodeJS.ErrnoException) =>
      resolve({ body: '', error: error.code ?? error.message }),
    );
    outgoing.end();
    return promise;
  }

  it('closes the connection of a faulty request without a response', async () => {
    registry.faults.add(on('GET', 'blob'), dropConnection());

    assert.deepEqual(await receive(blobPath), { body: '', error: 'ECONNRESET' });
    assert.equal(registry.requests.list().at(-1)?.status, undefined);
  });

  it('cuts a response body after exactly the given number of bytes', async () => {
    registry.faults.add(on('GET', 'blob'), cutBody(3));

    const received = await receive(blobPath);

    assert.deepEqual(received, { status: 200, length: '5', body: 'hel', error: 'ECONNRESET' });
    const { status, bytesOut } = registry.requests.list().at(-1) ?? {};
    assert.deepEqual({ status, bytesOut }, { status: 200, bytesOut: 3 });
  });

  it('cuts a large response body after exactly 3 MiB', async () => {
    const big = registry.store.putBlob('app', new Uint8Array(4 * 1024 * 1024));
    registry.faults.add(on('GET', 'blob'), cutBody(3 * 1024 * 1024));

    const received = await receive(`/v2/app/blobs/${big.digest}`);

    assert.equal(received.body.length, 3 * 1024 * 1024);
    assert.equal(received.error, 'ECONNRESET');
  });

  it('sends a Content-Length larger than the response body', async () => {
    registry.faults.add(on('GET', 'blob'), changeContentLength(7));

    const received = await receive(blobPath);

    assert.deepEqual(received, { status: 200, length: '7', body: 'hello', error: 'ECONNRESET' });
  });

  it('sends a Content-Length smaller than the response body', async () => {
    registry.faults.add(on('GET', 'blob'), changeContentLength(2));

    const response = await fetch(`${served.url}${blobPath}`);

    assert.equal(response.headers.get('content-length'), '2');
    assert.equal(await response.text(), 'he');
  });

  it('rejects an upload before its body is complete', async () => {
    registry.faults.add(on('PUT', 'upload'), rejectUpload(100_000));
    const started = await fetch(`${served.url}/v2/app/blobs/uploads/`, { method: 'POST' });
    const { promise, resolve } = Promise.withResolvers<number>();

    const upload = request(started.headers.get('location') ?? '', { method: 'PUT', agent: false });
    upload.on('response', (response) => resolve(response.statusCode ?? 0));
    upload.on('error', () => undefined);
    upload.write(Buffer.alloc(200_000));

    assert.equal(await promise, 413);
    upload.destroy();
  });
});
