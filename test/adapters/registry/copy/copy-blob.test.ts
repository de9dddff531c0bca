import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
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
  makeImage,
  on,
  redirect,
  rejectUpload,
  seed,
} from '../../../../lib/memory-registry/index.ts';
import { type Bench, forgottenUploads, useBench, walk } from '../bench.ts';

const open = useBench();

const size = 300_000;
const layer = Uint8Array.from({ length: size }, (_, index) => (index * 31) % 251);
const image = makeImage({ layers: [layer] });
const layerDigest = image.blobs[1]?.digest ?? '';
/** A GET of the big blob. */
const reading = (request: { method: string; path: string }): boolean =>
  request.method === 'GET' && request.path.endsWith(`/blobs/${layerDigest}`);
/** The end of the upload of the big blob. */
const writing = (request: { method: string; path: string }): boolean =>
  request.method === 'PUT' && decodeURIComponent(request.path).endsWith(`digest=${layerDigest}`);

async function arrives(bench: Bench): Promise<void> {
  const copied = await bench.copy('app', image.digest);

  assert.deepEqual(walk(bench.backup, 'acme/app', 'last'), walk(bench.source, 'app', '1'));
  assert.equal(copied.bytes, size + (image.blobs[0]?.size ?? 0));
  assert.deepEqual(forgottenUploads(bench.backup), []);
}

async function fails(bench: Bench, code: string, why: string): Promise<void> {
  await assert.rejects(bench.copy('app', image.digest), (error: unknown) => {
    assert.ok(error instanceof Error && 'code' in error);
    assert.equal(error.code, code);
    assert.equal(error.message.slice(-why.length), why);
    return true;
  });
  assert.deepEqual(bench.backup.store.tags('acme/app'), []);
  assert.deepEqual(bench.backup.store.manifests('acme/app'), []);
  assert.equal(bench.backup.store.blob('acme/app', layerDigest), undefined);
  assert.deepEqual(forgottenUploads(bench.backup), []);
}

function ranges({ source }: Bench): readonly (string | null)[] {
  return source.requests
    .list({ method: 'GET', kind: 'blob' })
    .filter(reading)
    .map(({ headers }) => headers.get('range'));
}

describe('copyBlob from a faulty source', () => {
  it('resumes a blob with a range after the connection was reset', async () => {
    const bench = await open();
    seed(bench.source, 'app:1', image);
    bench.source.faults.add(reading, cutBody(100_000), { times: 1 });

    await arrives(bench);

    const [first, second, ...rest] = ranges(bench);
    assert.equal(first, null);
    assert.match(second ?? '', /^bytes=\d+-$/);
    assert.deepEqual(rest, []);
    assert.equal(
      bench.backup.requests.list({ method: 'PUT', kind: 'upload' }).filter(writing).length,
      1,
    );
  });

  it('resumes a blob if the source does not support ranges', async () => {
    const bench = await open();
    seed(bench.source, 'app:1', image);
    bench.source.faults.add(reading, cutBody(100_000), { times: 1 });
    bench.source.faults.add(reading, async (exchange, next) => {
      const headers = new Headers(exchange.headers);
      headers.delete('range');
      return await next({ ...exchange, headers });
    });

    await arrives(bench);
  });

  for (const [what, fault] of [
    ['answers 416 to ranges', answer(416)],
    ['does not say which range it serves', changeHeaders({ 'content-range': undefined })],
  ] as const) {
    it(`resumes a blob if the source ${what}`, async () => {
      const bench = await open();
      seed(bench.source, 'app:1', image);
      bench.source.faults.add(reading, cutBody(100_000), { times: 1 });
      bench.source.faults.add((request) => reading(request) && request.headers.has('range'), fault);

      await arrives(bench);
    });
  }

  it('resumes a blob three times', async () => {
    const bench = await open();
    seed(bench.source, 'app:1', image);
    bench.source.faults.add(reading, cutBody(60_000), { times: 3 });

    await arrives(bench);
  });

  it('reports a source that resets every connection', async () => {
    const bench = await open();
    seed(bench.source, 'app:1', image);
    bench.source.faults.add(reading, cutBody(10));

    await fails(bench, 'SOURCE_UNAVAILABLE', 'reading a layer: the connection was reset');
    assert.equal(ranges(bench).length, 4);
  });

  const faults = [
    [
      'corrupts a byte',
      corruptBody(200_000),
      'SOURCE_REFUSED',
      'reading a layer: its content does not match its digest',
    ],
    [
      'corrupts the last byte',
      corruptBody(size - 1),
      'SOURCE_REFUSED',
      'reading a layer: its content does not match its digest',
    ],
    [
      'sends another length',
      changeContentLength(size - 1),
      'SOURCE_REFUSED',
      'reading a layer: its length differs from the manifest',
    ],
    [
      'sends a longer length',
      changeContentLength(size + 1),
      'SOURCE_REFUSED',
      'reading a layer: its length differs from the manifest',
    ],
    [
      'sends HTML',
      answer(200, { body: '<html>log in</html>' }),
      'SOURCE_REFUSED',
      'reading a layer: its content does not match its digest',
    ],
    [
      'does not have it',
      answer(404),
      'SOURCE_NOT_FOUND',
      `(reading a layer: ${layerDigest} not found)`,
    ],
    ['denies it', answer(403), 'SOURCE_DENIED', 'the image is private or does not exist'],
    ['is down', answer(503), 'SOURCE_UNAVAILABLE', 'reading a layer: service unavailable'],
    [
      'redirects to a forbidden address',
      redirect(() => 'http://169.254.169.254/'),
      'SOURCE_REFUSED',
      'reading a layer: the egress policy forbids the address',
    ],
  ] as const;
  for (const [what, fault, code, why] of faults) {
    it(`stores no blob, and reports the cause, if the source ${what}`, async () => {
      const bench = await open();
      seed(bench.source, 'app:1', image);
      bench.source.faults.add(reading, fault);
      // Without a content-length, only the bytes can tell.
      if (what === 'sends HTML') {
        bench.source.faults.add(reading, changeHeaders({ 'content-length': undefined }));
      }

      if (what === 'sends HTML') {
        await assert.rejects(bench.copy('app', image.digest), { name: 'CloneError' });
        assert.deepEqual(bench.backup.store.tags('acme/app'), []);
      } else await fails(bench, code, why);
    });
  }

  it('stores no blob that is longer than its descriptor', async () => {
    const bench = await open();
    seed(bench.source, 'app:1', image);
    bench.source.faults.add(reading, async () => {
      const longer = new Uint8Array(size + 1);
      longer.set(layer);
      async function* chunks(): AsyncGenerator<Uint8Array> {
        yield await Promise.resolve(longer);
      }
      return new Response(ReadableStream.from(chunks()), { status: 200 });
    });

    await assert.rejects(bench.copy('app', image.digest), { code: 'SOURCE_REFUSED' });
    assert.deepEqual(bench.backup.store.tags('acme/app'), []);
    assert.deepEqual(forgottenUploads(bench.backup), []);
  });

  it('rejects a blob response with another range than requested', async () => {
    const bench = await open();
    seed(bench.source, 'app:1', image);
    bench.source.faults.add(reading, cutBody(100_000), { times: 1 });
    bench.source.faults.add(
      reading,
      changeHeaders({ 'content-range': `bytes 5-${size - 1}/${size}` }),
    );

    await fails(bench, 'SOURCE_REFUSED', 'reading a layer: it served another range than requested');
  });

  it("follows the source's redirect to its object store without credentials", async () => {
    const users = { acme: 'secret' };
    const bench = await open({ source: { auth: { scheme: 'basic', users } } });
    const store = await open();
    seed(bench.source, 'app:1', image);
    seed(store.source, 'app:1', image);
    bench.source.faults.add(
      on('GET', 'blob'),
      redirect(({ pathname }) => `${store.source.url}${pathname}?sig=1`),
    );

    const copied = await bench.copy('app', image.digest, {
      sourceAccess: { side: 'source', credentials: { username: 'acme', password: 'secret' } },
    });

    assert.ok(copied.bytes > size);
    const reads = store.source.requests.list();
    assert.equal(reads.length, 2);
    assert.deepEqual(
      reads.map(({ headers }) => headers.get('authorization')),
      [null, null],
    );
    assert.ok(reads.every(({ path }) => path.endsWith('?sig=1')));
  });
});

describe('copyBlob into a faulty target', () => {
  const faults = [
    [
      'answers 413 before the end of the body',
      rejectUpload(64 * 1024),
      'BACKUP_REFUSED',
      'writing a layer: the upload is too large (413); raise the size limit of the registry or of the proxy before it',
    ],
    [
      'has no space left',
      rejectUpload(64 * 1024, 507),
      'BACKUP_REFUSED',
      'writing a layer: no space left (507); free space in the registry',
    ],
    [
      'denies it',
      answer(403),
      'BACKUP_DENIED',
      '(writing a layer: requested access to the resource is denied); check the user in registry-auth and its permissions',
    ],
    [
      'rejects the password during the upload',
      answer(401, { headers: { 'www-authenticate': 'Basic realm="r"' } }),
      'BACKUP_DENIED',
      '(writing a layer: authentication required); check the user in registry-auth and its permissions',
    ],
  ] as const;
  for (const [what, fault, code, why] of faults) {
    it(`cancels its upload session, and reports the cause, if the target ${what}`, async () => {
      const bench = await open();
      seed(bench.source, 'app:1', image);
      const fed = bench.backup.faults.add(writing, fault);

      await fails(bench, code, why);
      assert.equal(fed.hits(), 1);
      assert.ok(bench.backup.requests.count({ method: 'DELETE', kind: 'upload' }) >= 1);
    });
  }

  const passing = [
    ['answers 503 once', answer(503)],
    ['resets the connection', dropConnection()],
    [
      'loses the session',
      answer(404, { body: '{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"gone"}]}' }),
    ],
    [
      'received corrupt bytes',
      answer(400, {
        body: '{"errors":[{"code":"DIGEST_INVALID","message":"provided digest did not match uploaded content"}]}',
      }),
    ],
    ['answers 429', answer(429)],
  ] as const;
  for (const [what, fault] of passing) {
    it(`restarts the upload if the target ${what}`, async () => {
      const bench = await open();
      seed(bench.source, 'app:1', image);
      bench.backup.faults.add(writing, fault, { times: 2 });

      await arrives(bench);
      assert.equal(
        bench.backup.requests.list({ method: 'PUT', kind: 'upload' }).filter(writing).length,
        3,
      );
      assert.equal(ranges(bench).filter((range) => range !== null).length, 0);
    });
  }

  it('restarts the upload if the token expires during it', async () => {
    const bench = await open({ backup: { auth: { scheme: 'bearer', users: { acme: 'secret' } } } });
    seed(bench.source, 'app:1', image);
    const ended = bench.backup.faults.add(
      writing,
      async (exchange, next) => {
        bench.backup.tokens?.expire();
        return await next(exchange);
      },
      { times: 1, beforeAuth: true },
    );
    const credentials = { username: 'acme', password: 'secret' };

    await bench.copy('app', image.digest, { targetAccess: { side: 'backup', credentials } });

    assert.equal(ended.hits(), 1);
    assert.deepEqual(walk(bench.backup, 'acme/app', 'last'), walk(bench.source, 'app', '1'));
    assert.deepEqual(forgottenUploads(bench.backup), []);
  });

  it('subtracts the bytes of a failed upload from the progress', async () => {
    const bench = await open();
    seed(bench.source, 'app:1', image);
    bench.backup.faults.add(writing, rejectUpload(size, 503), { times: 2 });
    const seen: number[] = [];
    let totalBytes = 0;

    await bench.copy('app', image.digest, {
      onProgress: (progress) => {
        ({ totalBytes } = progress);
        seen.push(progress.doneBytes);
      },
    });

    assert.ok(
      seen.every((done) => done >= 0 && done <= totalBytes),
      seen.join(),
    );
    assert.equal(seen.at(-1), totalBytes);
  });

  it('fails a blob after four uploads', async () => {
    const bench = await open();
    seed(bench.source, 'app:1', image);
    const down = bench.backup.faults.add(writing, answer(503));

    await fails(bench, 'BACKUP_UNAVAILABLE', 'writing a layer: service unavailable');
    assert.equal(down.hits(), 4);
  });

  const locations = [
    ['an absolute path', (location: URL): string => `${location.pathname}${location.search}`],
    [
      'a relative path',
      (location: URL): string => `${location.pathname.split('/').at(-1)}${location.search}`,
    ],
    ['a URL with an additional query', (location: URL): string => `${location.href}&sig=a%2Bb%20c`],
  ] as const;
  for (const [what, rewrite] of locations) {
    it(`uploads a blob to a Location that is ${what}`, async () => {
      const bench = await open();
      seed(bench.source, 'app:1', image);
      bench.backup.faults.add(on('POST', 'uploads'), changeLocation(rewrite));

      await arrives(bench);
    });
  }

  it('sends no credentials to an upload Location on another host', async () => {
    const credentials = { username: 'acme', password: 'secret' };
    const bench = await open({ backup: { auth: { scheme: 'basic', users: { acme: 'secret' } } } });
    const other = await open();
    seed(bench.source, 'app:1', image);
    bench.backup.faults.add(
      on('POST', 'uploads'),
      changeLocation(({ pathname, search }) => `${other.backup.url}${pathname}${search}`),
    );

    const copying = bench.copy('app', image.digest, {
      targetAccess: { side: 'backup', credentials },
    });

    await assert.rejects(copying, { name: 'CloneError' });
    const requests = other.backup.requests.list();
    assert.ok(requests.some(({ method, path }) => method === 'PUT' && path.includes('_state=')));
    assert.deepEqual(
      new Set(requests.map(({ headers }) => headers.get('authorization'))),
      new Set([null]),
    );
  });
});

describe('copyBlob, aborted', () => {
  const reason = new Error('shutting down');

  it('cancels its upload session and closes the source when a copy is aborted during a layer', async () => {
    const bench = await open();
    seed(bench.source, 'app:1', image);
    const trickle = createTrickle();
    bench.source.faults.add(reading, trickle.fault);
    trickle.release(100_000);
    const ending = new AbortController();

    const copying = bench.copy('app', image.digest, {
      signal: ending.signal,
      onProgress: ({ doneBytes }) => {
        if (doneBytes >= 100_000) ending.abort(reason);
      },
    });

    await assert.rejects(copying, reason);
    assert.deepEqual(forgottenUploads(bench.backup), []);
    assert.deepEqual(bench.backup.store.tags('acme/app'), []);
    trickle.releaseAll();
  });

  it('cancels an upload session whose start was in flight when the copy was aborted', async () => {
    const bench = await open();
    seed(bench.source, 'app:1', image);
    const hold = createHold();
    bench.backup.faults.add(on('POST', 'uploads'), hold.fault);
    const ending = new AbortController();
    const copying = bench.copy('app', image.digest, { signal: ending.signal });
    await hold.waiting(2);

    ending.abort(reason);
    hold.release();

    await assert.rejects(copying, reason);
    assert.deepEqual(forgottenUploads(bench.backup), []);
    assert.equal(bench.source.requests.count({ method: 'GET', kind: 'blob' }), 0);
  });

  it('aborts the other layers of a copy when one fails', async () => {
    const bench = await open();
    const layers = Array.from({ length: 39 }, (_, index) =>
      Uint8Array.from({ length: 50 }, () => index),
    );
    const many = makeImage({ layers: [...layers, layer] });
    seed(bench.source, 'app:1', many);
    const hold = createHold();
    bench.source.faults.add(
      (request) => request.method === 'GET' && !reading(request) && request.kind === 'blob',
      hold.fault,
    );
    bench.source.faults.add(reading, corruptBody());

    await assert.rejects(bench.copy('app', many.digest), { code: 'SOURCE_REFUSED' });

    hold.release();
    assert.deepEqual(forgottenUploads(bench.backup), []);
    assert.ok(bench.source.requests.count({ method: 'GET', kind: 'blob' }) <= 16);
  });
});
