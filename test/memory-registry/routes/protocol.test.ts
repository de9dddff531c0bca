import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  codeOf,
  createSample,
  digests,
  index,
  manifest,
  ociIndex,
  ociManifest,
  toBytes,
} from '../sample.ts';

interface Row {
  readonly title: string;
  readonly request: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly status: number;
  readonly code?: string;
  readonly responseHeaders?: Readonly<Record<string, string>>;
  readonly text?: string;
}

const dockerList = 'application/vnd.docker.distribution.manifest.list.v2+json';

const reads: readonly Row[] = [
  {
    title: 'identifies itself as a registry',
    request: 'GET /v2/',
    status: 200,
    responseHeaders: { 'docker-distribution-api-version': 'registry/2.0' },
    text: '{}',
  },
  {
    title: 'lists repositories',
    request: 'GET /v2/_catalog',
    status: 200,
    text: '{"repositories":["app"]}',
  },
  {
    title: 'lists tags',
    request: 'GET /v2/app/tags/list',
    status: 200,
    text: '{"name":"app","tags":["1","all"]}',
  },
  {
    title: 'lists tags in pages',
    request: 'GET /v2/app/tags/list?n=1',
    status: 200,
    responseHeaders: { link: '</v2/app/tags/list?last=1&n=1>; rel="next"' },
    text: '{"name":"app","tags":["1"]}',
  },
  {
    title: 'lists the last page without a link',
    request: 'GET /v2/app/tags/list?last=1&n=1',
    status: 200,
    text: '{"name":"app","tags":["all"]}',
  },
  {
    title: 'answers 404 for the tags of an unknown repository',
    request: 'GET /v2/nope/tags/list',
    status: 404,
    code: 'NAME_UNKNOWN',
  },
  {
    title: 'returns a manifest by tag, byte for byte',
    request: 'GET /v2/app/manifests/1',
    headers: { accept: ociManifest },
    status: 200,
    responseHeaders: {
      'content-type': ociManifest,
      'content-length': '357',
      'docker-content-digest': digests.manifest,
      etag: `"${digests.manifest}"`,
    },
    text: manifest,
  },
  {
    title: 'returns a manifest by digest',
    request: `GET /v2/app/manifests/${digests.index}`,
    headers: { accept: `${ociManifest}, ${ociIndex};q=0.9` },
    status: 200,
    responseHeaders: { 'content-type': ociIndex, 'docker-content-digest': digests.index },
    text: index,
  },
  {
    title: 'accepts an encoded colon in a digest',
    request: `GET /v2/app/manifests/${digests.manifest.replace(':', '%3A')}`,
    status: 200,
  },
  {
    title: 'answers HEAD of a manifest with its length',
    request: 'HEAD /v2/app/manifests/1',
    status: 200,
    responseHeaders: { 'content-length': '357', 'docker-content-digest': digests.manifest },
    text: '',
  },
  {
    title: 'answers 404 for an OCI index if the client does not accept one',
    request: 'GET /v2/app/manifests/all',
    headers: { accept: `${ociManifest}, ${dockerList}` },
    status: 404,
    code: 'MANIFEST_UNKNOWN',
  },
  {
    title: 'returns an OCI index if the client accepts */*',
    request: 'GET /v2/app/manifests/all',
    headers: { accept: '*/*' },
    status: 200,
  },
  {
    title: 'answers 304 if the client already has the manifest',
    request: 'GET /v2/app/manifests/1',
    headers: { 'if-none-match': `"${digests.manifest}"` },
    status: 304,
  },
  {
    title: 'answers 404 for an unknown tag',
    request: 'GET /v2/app/manifests/2',
    status: 404,
    code: 'MANIFEST_UNKNOWN',
  },
  {
    title: 'answers 404 for an unknown manifest',
    request: `HEAD /v2/app/manifests/${digests.absent}`,
    status: 404,
  },
  {
    title: 'rejects a truncated digest',
    request: 'GET /v2/app/manifests/sha256:abc',
    status: 400,
    code: 'DIGEST_INVALID',
  },
  {
    title: 'rejects a PUT to a digest that is not hexadecimal, as the conformance suite wants it',
    request: 'PUT /v2/app/manifests/sha256:nonsense',
    status: 400,
    code: 'DIGEST_INVALID',
  },
  {
    title: 'rejects an MD5 digest',
    request: `GET /v2/app/blobs/md5:${'0'.repeat(32)}`,
    status: 400,
    code: 'DIGEST_INVALID',
  },
  {
    title: 'answers 404 for a repository name in upper case',
    request: 'GET /v2/App/manifests/1',
    status: 404,
    text: '404 page not found\n',
  },
  {
    title: 'returns a blob',
    request: `GET /v2/app/blobs/${digests.layer}`,
    status: 200,
    responseHeaders: {
      'content-length': '5',
      'docker-content-digest': digests.layer,
      'accept-ranges': 'bytes',
    },
    text: 'hello',
  },
  {
    title: 'answers HEAD of a blob with its length',
    request: `HEAD /v2/app/blobs/${digests.layer}`,
    status: 200,
    responseHeaders: { 'content-length': '5' },
    text: '',
  },
  {
    title: 'answers 404 for an unknown blob',
    request: `GET /v2/app/blobs/${digests.absent}`,
    status: 404,
    code: 'BLOB_UNKNOWN',
  },
  {
    title: 'answers 404 for a blob of another repository',
    request: `GET /v2/other/blobs/${digests.layer}`,
    status: 404,
    code: 'BLOB_UNKNOWN',
  },
  {
    title: 'returns the middle of a blob',
    request: `GET /v2/app/blobs/${digests.layer}`,
    headers: { range: 'bytes=1-3' },
    status: 206,
    responseHeaders: { 'content-range': 'bytes 1-3/5', 'content-length': '3' },
    text: 'ell',
  },
  {
    title: 'returns a blob from an offset',
    request: `GET /v2/app/blobs/${digests.layer}`,
    headers: { range: 'bytes=3-' },
    status: 206,
    responseHeaders: { 'content-range': 'bytes 3-4/5' },
    text: 'lo',
  },
  {
    title: 'returns a whole blob if the suffix range is longer',
    request: `GET /v2/app/blobs/${digests.layer}`,
    headers: { range: 'bytes=-9' },
    status: 206,
    responseHeaders: { 'content-range': 'bytes 0-4/5' },
    text: 'hello',
  },
  {
    title: 'answers 416 for a range after the end of a blob',
    request: `GET /v2/app/blobs/${digests.layer}`,
    headers: { range: 'bytes=5-' },
    status: 416,
    responseHeaders: { 'content-range': 'bytes */5' },
  },
  {
    title: 'returns the whole blob if the range is malformed',
    request: `GET /v2/app/blobs/${digests.layer}`,
    headers: { range: 'lines=1-2' },
    status: 200,
    text: 'hello',
  },
];

const writes: readonly Row[] = [
  {
    title: 'stores a manifest by tag',
    request: 'PUT /v2/app/manifests/new',
    headers: { 'content-type': ociManifest },
    body: manifest,
    status: 201,
    responseHeaders: {
      location: `http://localhost/v2/app/manifests/${digests.manifest}`,
      'docker-content-digest': digests.manifest,
    },
  },
  {
    title: 'stores a manifest by digest',
    request: `PUT /v2/app/manifests/${digests.manifest}`,
    headers: { 'content-type': `${ociManifest}; charset=utf-8` },
    body: manifest,
    status: 201,
  },
  {
    title: 'rejects a manifest whose digest differs from the reference',
    request: `PUT /v2/app/manifests/${digests.absent}`,
    headers: { 'content-type': ociManifest },
    body: manifest,
    status: 400,
    code: 'DIGEST_INVALID',
  },
  {
    title: 'rejects a manifest whose mediaType contradicts its Content-Type',
    request: 'PUT /v2/app/manifests/new',
    headers: { 'content-type': 'application/vnd.docker.distribution.manifest.v2+json' },
    body: manifest,
    status: 400,
    code: 'MANIFEST_INVALID',
  },
  {
    title: 'rejects a manifest that is not JSON',
    request: 'PUT /v2/app/manifests/new',
    headers: { 'content-type': ociManifest },
    body: '{',
    status: 400,
    code: 'MANIFEST_INVALID',
  },
  {
    title: 'rejects a manifest that is both an index and an image',
    request: 'PUT /v2/app/manifests/new',
    headers: { 'content-type': ociIndex },
    body: '{"schemaVersion":2,"manifests":[],"layers":[],"config":{}}',
    status: 400,
    code: 'MANIFEST_INVALID',
  },
  {
    title: 'rejects a manifest whose blobs are missing',
    request: 'PUT /v2/other/manifests/new',
    headers: { 'content-type': ociManifest },
    body: manifest,
    status: 400,
    code: 'MANIFEST_BLOB_UNKNOWN',
  },
  {
    title: 'rejects an index whose manifests are missing',
    request: 'PUT /v2/other/manifests/new',
    headers: { 'content-type': ociIndex },
    body: index,
    status: 400,
    code: 'MANIFEST_BLOB_UNKNOWN',
  },
  {
    title: 'rejects a manifest larger than 4 MiB',
    request: 'PUT /v2/app/manifests/new',
    headers: { 'content-type': ociManifest },
    body: ' '.repeat(4 * 1024 * 1024 + 1),
    status: 413,
    code: 'MANIFEST_INVALID',
  },
  { title: 'deletes a tag', request: 'DELETE /v2/app/manifests/1', status: 202 },
  {
    title: 'deletes a manifest',
    request: `DELETE /v2/app/manifests/${digests.manifest}`,
    status: 202,
  },
  {
    title: 'answers 404 to the deletion of an unknown manifest',
    request: `DELETE /v2/app/manifests/${digests.absent}`,
    status: 404,
    code: 'MANIFEST_UNKNOWN',
  },
  { title: 'deletes a blob', request: `DELETE /v2/app/blobs/${digests.layer}`, status: 202 },
  {
    title: 'answers 404 to the deletion of an unknown blob',
    request: `DELETE /v2/app/blobs/${digests.absent}`,
    status: 404,
    code: 'BLOB_UNKNOWN',
  },
  {
    title: 'mounts a blob of another repository',
    request: `POST /v2/other/blobs/uploads/?mount=${digests.layer}&from=app`,
    status: 201,
    responseHeaders: {
      location: `http://localhost/v2/other/blobs/${digests.layer}`,
      'docker-content-digest': digests.layer,
    },
  },
  {
    title: 'starts an upload if the blob to mount is missing',
    request: `POST /v2/other/blobs/uploads/?mount=${digests.absent}&from=app`,
    status: 202,
    responseHeaders: { range: '0-0' },
  },
  {
    title: 'starts an upload if a mount names no source repository',
    request: `POST /v2/other/blobs/uploads/?mount=${digests.layer}`,
    status: 202,
  },
  {
    title: 'ignores the body and digest of a POST',
    request: `POST /v2/app/blobs/uploads/?digest=${digests.abc}`,
    body: 'abc',
    status: 202,
  },
  {
    title: 'rejects a PUT to the tags list',
    request: 'PUT /v2/app/tags/list',
    status: 405,
    responseHeaders: { allow: 'GET, HEAD' },
  },
];

describe('the distribution API of a memory registry', () => {
  for (const { title, request, headers = {}, body, status, code, responseHeaders = {}, text } of [
    ...reads,
    ...writes,
  ]) {
    it(`${title} (${request.split('?')[0]?.slice(0, 40)})`, async () => {
      const { app } = createSample();
      const [method = '', path = ''] = request.split(' ');

      const response = await app.request(path, {
        method,
        headers,
        ...(body !== undefined && { body: toBytes(body) }),
      });

      assert.equal(response.status, status);
      for (const [name, value] of Object.entries(responseHeaders)) {
        assert.equal(response.headers.get(name), value, name);
      }
      if (text !== undefined) assert.equal(await response.text(), text);
      if (code !== undefined) assert.equal(await codeOf(response), code);
    });
  }

  it('deletes every tag of a deleted manifest', async () => {
    const { app, store } = createSample();

    await app.request(`/v2/app/manifests/${digests.manifest}`, { method: 'DELETE' });

    assert.deepEqual(store.tags('app'), ['all']);
    assert.deepEqual(store.manifests('app'), [digests.index]);
  });

  it('returns the linux/amd64 image of a docker list to a client that does not accept lists', async () => {
    const { app, store } = createSample();
    const list = `{"schemaVersion":2,"mediaType":"${dockerList}","manifests":[{"mediaType":"${ociManifest}","digest":"${digests.manifest}","size":357,"platform":{"os":"linux","architecture":"amd64"}}]}`;
    const { digest } = store.putManifest(
      'app',
      { mediaType: dockerList, bytes: toBytes(list) },
      'l',
    );

    const byTag = await app.request('/v2/app/manifests/l', { headers: { accept: ociManifest } });
    const byDigest = await app.request(`/v2/app/manifests/${digest}`, {
      headers: { accept: ociManifest },
    });

    assert.equal(byTag.headers.get('docker-content-digest'), digests.manifest);
    assert.equal(byDigest.headers.get('docker-content-digest'), digest);
  });

  it('logs requests with the bytes received and sent', async () => {
    const { app, requests } = createSample();

    await (await app.request(`/v2/app/blobs/${digests.layer}`)).text();
    await app.request('/v2/app/manifests/new', {
      method: 'PUT',
      headers: { 'content-type': ociManifest },
      body: manifest,
    });

    assert.deepEqual(requests.tally(), { 'GET blob': 1, 'PUT manifest': 1 });
    assert.deepEqual(
      requests
        .list()
        .map(({ path, status, bytesIn, bytesOut }) => [path, status, bytesIn, bytesOut]),
      [
        [`/v2/app/blobs/${digests.layer}`, 200, 0, 5],
        ['/v2/app/manifests/new', 201, 357, 0],
      ],
    );
    assert.equal(requests.count({ method: 'GET', kind: 'blob', repository: 'app' }), 1);
    assert.equal(requests.bytesOut(), 5);
  });
});
