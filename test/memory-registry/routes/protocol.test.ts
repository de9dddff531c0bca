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
  readonly answers?: Readonly<Record<string, string>>;
  readonly text?: string;
}

const dockerList = 'application/vnd.docker.distribution.manifest.list.v2+json';

const reads: readonly Row[] = [
  {
    title: 'says that it is a registry',
    request: 'GET /v2/',
    status: 200,
    answers: { 'docker-distribution-api-version': 'registry/2.0' },
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
    title: 'lists tags page by page',
    request: 'GET /v2/app/tags/list?n=1',
    status: 200,
    answers: { link: '</v2/app/tags/list?last=1&n=1>; rel="next"' },
    text: '{"name":"app","tags":["1"]}',
  },
  {
    title: 'lists the last page without a link',
    request: 'GET /v2/app/tags/list?last=1&n=1',
    status: 200,
    text: '{"name":"app","tags":["all"]}',
  },
  {
    title: 'knows no tags of what it does not hold',
    request: 'GET /v2/nope/tags/list',
    status: 404,
    code: 'NAME_UNKNOWN',
  },
  {
    title: 'gives a manifest by tag, byte for byte',
    request: 'GET /v2/app/manifests/1',
    headers: { accept: ociManifest },
    status: 200,
    answers: {
      'content-type': ociManifest,
      'content-length': '357',
      'docker-content-digest': digests.manifest,
      etag: `"${digests.manifest}"`,
    },
    text: manifest,
  },
  {
    title: 'gives a manifest by digest',
    request: `GET /v2/app/manifests/${digests.index}`,
    headers: { accept: `${ociManifest}, ${ociIndex};q=0.9` },
    status: 200,
    answers: { 'content-type': ociIndex, 'docker-content-digest': digests.index },
    text: index,
  },
  {
    title: 'reads a colon that was encoded',
    request: `GET /v2/app/manifests/${digests.manifest.replace(':', '%3A')}`,
    status: 200,
  },
  {
    title: 'says of a manifest how long it is',
    request: 'HEAD /v2/app/manifests/1',
    status: 200,
    answers: { 'content-length': '357', 'docker-content-digest': digests.manifest },
    text: '',
  },
  {
    title: 'does not find an OCI index for who does not accept one',
    request: 'GET /v2/app/manifests/all',
    headers: { accept: `${ociManifest}, ${dockerList}` },
    status: 404,
    code: 'MANIFEST_UNKNOWN',
  },
  {
    title: 'takes a wildcard for acceptance',
    request: 'GET /v2/app/manifests/all',
    headers: { accept: '*/*' },
    status: 200,
  },
  {
    title: 'does not repeat what the caller has',
    request: 'GET /v2/app/manifests/1',
    headers: { 'if-none-match': `"${digests.manifest}"` },
    status: 304,
  },
  {
    title: 'knows when it has no such tag',
    request: 'GET /v2/app/manifests/2',
    status: 404,
    code: 'MANIFEST_UNKNOWN',
  },
  {
    title: 'knows when it has no such manifest',
    request: `HEAD /v2/app/manifests/${digests.absent}`,
    status: 404,
  },
  {
    title: 'refuses half a digest',
    request: 'GET /v2/app/manifests/sha256:abc',
    status: 400,
    code: 'DIGEST_INVALID',
  },
  {
    title: 'refuses a digest of MD5',
    request: `GET /v2/app/blobs/md5:${'0'.repeat(32)}`,
    status: 400,
    code: 'DIGEST_INVALID',
  },
  {
    title: 'has nothing under a name in upper case',
    request: 'GET /v2/App/manifests/1',
    status: 404,
    text: '404 page not found\n',
  },
  {
    title: 'gives a blob',
    request: `GET /v2/app/blobs/${digests.layer}`,
    status: 200,
    answers: {
      'content-length': '5',
      'docker-content-digest': digests.layer,
      'accept-ranges': 'bytes',
    },
    text: 'hello',
  },
  {
    title: 'says of a blob how long it is',
    request: `HEAD /v2/app/blobs/${digests.layer}`,
    status: 200,
    answers: { 'content-length': '5' },
    text: '',
  },
  {
    title: 'knows when it has no such blob',
    request: `GET /v2/app/blobs/${digests.absent}`,
    status: 404,
    code: 'BLOB_UNKNOWN',
  },
  {
    title: 'keeps blobs apart by repository',
    request: `GET /v2/other/blobs/${digests.layer}`,
    status: 404,
    code: 'BLOB_UNKNOWN',
  },
  {
    title: 'gives the middle of a blob',
    request: `GET /v2/app/blobs/${digests.layer}`,
    headers: { range: 'bytes=1-3' },
    status: 206,
    answers: { 'content-range': 'bytes 1-3/5', 'content-length': '3' },
    text: 'ell',
  },
  {
    title: 'gives the rest of a blob',
    request: `GET /v2/app/blobs/${digests.layer}`,
    headers: { range: 'bytes=3-' },
    status: 206,
    answers: { 'content-range': 'bytes 3-4/5' },
    text: 'lo',
  },
  {
    title: 'gives the end of a blob, all of it if need be',
    request: `GET /v2/app/blobs/${digests.layer}`,
    headers: { range: 'bytes=-9' },
    status: 206,
    answers: { 'content-range': 'bytes 0-4/5' },
    text: 'hello',
  },
  {
    title: 'has nothing after the end of a blob',
    request: `GET /v2/app/blobs/${digests.layer}`,
    headers: { range: 'bytes=5-' },
    status: 416,
    answers: { 'content-range': 'bytes */5' },
  },
  {
    title: 'gives the whole blob where a range cannot be read',
    request: `GET /v2/app/blobs/${digests.layer}`,
    headers: { range: 'lines=1-2' },
    status: 200,
    text: 'hello',
  },
];

const writes: readonly Row[] = [
  {
    title: 'takes a manifest under a tag',
    request: 'PUT /v2/app/manifests/new',
    headers: { 'content-type': ociManifest },
    body: manifest,
    status: 201,
    answers: {
      location: `http://localhost/v2/app/manifests/${digests.manifest}`,
      'docker-content-digest': digests.manifest,
    },
  },
  {
    title: 'takes a manifest under its digest',
    request: `PUT /v2/app/manifests/${digests.manifest}`,
    headers: { 'content-type': `${ociManifest}; charset=utf-8` },
    body: manifest,
    status: 201,
  },
  {
    title: 'refuses a manifest under the digest of another',
    request: `PUT /v2/app/manifests/${digests.absent}`,
    headers: { 'content-type': ociManifest },
    body: manifest,
    status: 400,
    code: 'DIGEST_INVALID',
  },
  {
    title: 'refuses a manifest that calls itself something else',
    request: 'PUT /v2/app/manifests/new',
    headers: { 'content-type': 'application/vnd.docker.distribution.manifest.v2+json' },
    body: manifest,
    status: 400,
    code: 'MANIFEST_INVALID',
  },
  {
    title: 'refuses a manifest that is no JSON',
    request: 'PUT /v2/app/manifests/new',
    headers: { 'content-type': ociManifest },
    body: '{',
    status: 400,
    code: 'MANIFEST_INVALID',
  },
  {
    title: 'refuses what is an index and an image at once',
    request: 'PUT /v2/app/manifests/new',
    headers: { 'content-type': ociIndex },
    body: '{"schemaVersion":2,"manifests":[],"layers":[],"config":{}}',
    status: 400,
    code: 'MANIFEST_INVALID',
  },
  {
    title: 'refuses a manifest whose blobs are not there',
    request: 'PUT /v2/other/manifests/new',
    headers: { 'content-type': ociManifest },
    body: manifest,
    status: 400,
    code: 'MANIFEST_BLOB_UNKNOWN',
  },
  {
    title: 'refuses an index whose manifests are not there',
    request: 'PUT /v2/other/manifests/new',
    headers: { 'content-type': ociIndex },
    body: index,
    status: 400,
    code: 'MANIFEST_BLOB_UNKNOWN',
  },
  {
    title: 'refuses a manifest of more than 4 MiB',
    request: 'PUT /v2/app/manifests/new',
    headers: { 'content-type': ociManifest },
    body: ' '.repeat(4 * 1024 * 1024 + 1),
    status: 413,
    code: 'MANIFEST_INVALID',
  },
  { title: 'forgets a tag', request: 'DELETE /v2/app/manifests/1', status: 202 },
  {
    title: 'forgets a manifest',
    request: `DELETE /v2/app/manifests/${digests.manifest}`,
    status: 202,
  },
  {
    title: 'cannot forget what it does not hold',
    request: `DELETE /v2/app/manifests/${digests.absent}`,
    status: 404,
    code: 'MANIFEST_UNKNOWN',
  },
  { title: 'forgets a blob', request: `DELETE /v2/app/blobs/${digests.layer}`, status: 202 },
  {
    title: 'cannot forget a blob that it does not hold',
    request: `DELETE /v2/app/blobs/${digests.absent}`,
    status: 404,
    code: 'BLOB_UNKNOWN',
  },
  {
    title: 'mounts a blob of another repository',
    request: `POST /v2/other/blobs/uploads/?mount=${digests.layer}&from=app`,
    status: 201,
    answers: {
      location: `http://localhost/v2/other/blobs/${digests.layer}`,
      'docker-content-digest': digests.layer,
    },
  },
  {
    title: 'begins an upload where there is nothing to mount',
    request: `POST /v2/other/blobs/uploads/?mount=${digests.absent}&from=app`,
    status: 202,
    answers: { range: '0-0' },
  },
  {
    title: 'begins an upload where no repository is named to mount from',
    request: `POST /v2/other/blobs/uploads/?mount=${digests.layer}`,
    status: 202,
  },
  {
    title: 'passes over the body of a POST',
    request: `POST /v2/app/blobs/uploads/?digest=${digests.abc}`,
    body: 'abc',
    status: 202,
  },
  {
    title: 'does not PUT what is only read',
    request: 'PUT /v2/app/tags/list',
    status: 405,
    answers: { allow: 'GET, HEAD' },
  },
];

describe('the distribution API', () => {
  for (const { title, request, headers = {}, body, status, code, answers = {}, text } of [
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
      for (const [name, value] of Object.entries(answers)) {
        assert.equal(response.headers.get(name), value, name);
      }
      if (text !== undefined) assert.equal(await response.text(), text);
      if (code !== undefined) assert.equal(await codeOf(response), code);
    });
  }

  it('forgets every tag of a manifest with it', async () => {
    const { app, store } = createSample();

    await app.request(`/v2/app/manifests/${digests.manifest}`, { method: 'DELETE' });

    assert.deepEqual(store.tags('app'), ['all']);
    assert.deepEqual(store.manifests('app'), [digests.index]);
  });

  it('gives docker’s clients of old the linux/amd64 image of a list', async () => {
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

  it('remembers what was asked, and how much went in and out', async () => {
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
