import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  createMemoryRegistry,
  type Image,
  type MemoryRegistry,
  type ModeName,
  type ModeOptions,
  makeImage,
  seed,
  useMode,
} from '../../../lib/memory-registry/index.ts';
import { digests, ociManifest, toBytes } from '../sample.ts';

const image = makeImage({ layers: [100] });
const other = makeImage({ layers: [100], mediaTypes: 'docker' });
const layer = image.blobs[1]?.digest ?? '';

interface Row {
  readonly mode: ModeName;
  readonly options?: ModeOptions;
  readonly request: string;
  readonly body?: Pick<Image, 'mediaType' | 'bytes'>;
  /** Status, code and message, or the header that is asked for. */
  readonly answers: string;
  readonly header?: string;
}

const elsewhere: ModeOptions = { elsewhere: ({ pathname }) => `http://storage.test${pathname}` };
const immutable: ModeOptions = { immutableTags: true };
const created: ModeOptions = { exists: (name) => name.startsWith('acme/') };
const denied = '403 DENIED: requested access to the resource is denied';

/** Requests to a registry with `acme/team/app:1`, or `acme/app:1` where three levels are too many. */
const rows: readonly Row[] = [
  {
    mode: 'distribution',
    request: `GET /v2/acme/app/referrers/${image.digest}`,
    answers: '404 NAME_UNKNOWN: repository name not known to registry',
  },
  {
    mode: 'distribution',
    request: `PUT /v2/acme/app/manifests/sha512:${'0'.repeat(128)}`,
    body: image,
    answers: '400 DIGEST_INVALID: provided digest did not match uploaded content',
  },
  {
    mode: 'distribution',
    request: 'PUT /v2/acme/app/manifests/2',
    body: { mediaType: ociManifest, bytes: toBytes('{"layers":[{"urls":["https://x.test/"]}]}') },
    answers: '500 UNKNOWN: unknown error',
  },
  {
    mode: 'quay',
    request: 'POST /v2/acme/team/app/blobs/uploads/',
    answers: '400 NAME_INVALID: invalid repository name',
  },
  { mode: 'quay', request: 'GET /v2/acme/app/manifests/1', answers: '200' },
  {
    mode: 'quay',
    request: 'GET /v2/acme/app/manifests/2',
    answers: '404 MANIFEST_UNKNOWN: manifest unknown',
  },
  {
    mode: 'quay',
    request: 'GET /v2/acme/nope/manifests/1',
    answers: '401 UNAUTHORIZED: access to the requested resource is not authorized',
  },
  {
    mode: 'quay',
    request: 'HEAD /v2/acme/nope/manifests/1',
    answers:
      'Bearer realm="http://localhost/token",service="memory-registry",scope="repository:acme/nope:pull"',
    header: 'www-authenticate',
  },
  {
    mode: 'quay',
    request: `POST /v2/acme/new/blobs/uploads/?mount=${layer}`,
    answers: '400 INVALID_REQUEST: Invalid request',
  },
  {
    mode: 'quay',
    request: `POST /v2/acme/new/blobs/uploads/?mount=${layer}&from=acme/app`,
    answers: '201',
  },
  {
    mode: 'harbor',
    options: created,
    request: 'POST /v2/nope/app/blobs/uploads/',
    answers: '401 UNAUTHORIZED: project nope not found',
  },
  {
    mode: 'harbor',
    options: immutable,
    request: 'PUT /v2/acme/app/manifests/1',
    body: image,
    answers: "412 PRECONDITION: Failed to process request due to 'app:1' configured as immutable.",
  },
  {
    mode: 'harbor',
    options: immutable,
    request: 'PUT /v2/acme/app/manifests/2',
    body: image,
    answers: '201',
  },
  {
    mode: 'harbor',
    options: { isFull: true },
    request: 'PUT /v2/acme/app/blobs/uploads/1',
    answers:
      '403 DENIED: adding 2.1 MiB of storage resource, which when updated to current usage of 8.3 MiB will exceed the configured upper limit of 10.0 MiB.',
  },
  {
    mode: 'harbor',
    options: { blocksPulls: true },
    request: 'GET /v2/acme/app/manifests/1',
    answers:
      '412 PROJECTPOLICYVIOLATION: current image with 12 vulnerabilities cannot be pulled due to configured policy in \'Prevent images with vulnerability severity of "Critical" or higher from running.\'',
  },
  { mode: 'ghcr', request: 'GET /v2/acme/nope/manifests/1', answers: denied },
  { mode: 'ghcr', request: 'GET /v2/acme/app/manifests/1', answers: '200' },
  {
    mode: 'ghcr',
    request: 'GET /token?service=memory-registry&scope=repository:acme/nope:pull',
    answers: '403 DENIED: denied',
  },
  {
    mode: 'ghcr',
    options: elsewhere,
    request: `GET /v2/acme/app/referrers/${image.digest}`,
    answers: `http://storage.test/v2/acme/app/referrers/${image.digest}`,
    header: 'location',
  },
  {
    mode: 'ecr',
    request: 'POST /v2/acme/quay.io__app/blobs/uploads/',
    answers:
      "400 NAME_INVALID: Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression '(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*''",
  },
  {
    mode: 'ecr',
    options: { exists: () => false },
    request: 'POST /v2/acme/app/blobs/uploads/',
    answers:
      "404 NAME_UNKNOWN: The repository with name 'acme/app' does not exist in the registry with id '123456789012'",
  },
  {
    mode: 'ecr',
    options: immutable,
    request: 'PUT /v2/acme/app/manifests/1',
    body: image,
    answers:
      "400 TAG_INVALID: The image tag '1' already exists in the 'acme/app' repository and cannot be overwritten because the repository is immutable.",
  },
  {
    mode: 'ecr',
    request: 'GET /v2/acme/app/blobs/uploads/1',
    answers: '404 BLOB_UPLOAD_UNKNOWN: upload unknown',
  },
  {
    mode: 'ecr',
    request: `POST /v2/acme/new/blobs/uploads/?mount=${layer}&from=acme/app`,
    answers: '202',
  },
  { mode: 'artifactory', request: 'HEAD /v2/acme/app/manifests/2', answers: '403' },
  {
    mode: 'artifactory',
    request: 'GET /v2/acme/app/manifests/2',
    answers: '404 MANIFEST_UNKNOWN: manifest unknown',
  },
  { mode: 'nexus', request: 'GET /v2/acme/app/tags/list?n=1', answers: 'null', header: 'link' },
  {
    mode: 'nexus',
    request: `GET /v2/acme/app/referrers/${image.digest}`,
    answers: '404 NAME_UNKNOWN: repository name not known to registry',
  },
  {
    mode: 'nexus',
    options: immutable,
    request: 'PUT /v2/acme/app/manifests/2',
    body: image,
    answers: '400 BLOB_UPLOAD_INVALID: blob upload invalid',
  },
  {
    mode: 'nexus',
    options: immutable,
    request: 'PUT /v2/acme/app/manifests/2',
    body: other,
    answers: '201',
  },
  {
    mode: 'gitea',
    request: 'POST /v2/acme/quay.io__app/blobs/uploads/',
    answers: '400 NAME_INVALID: ',
  },
  { mode: 'gitea', request: 'GET /v2/acme/app/manifests/V-1', answers: '200' },
  {
    mode: 'zot',
    request: 'PUT /v2/acme/app/manifests/2',
    body: other,
    answers: '415 MANIFEST_INVALID: manifest invalid',
  },
  {
    mode: 'zot',
    options: immutable,
    request: 'PUT /v2/acme/app/manifests/1',
    body: image,
    answers: denied,
  },
  {
    mode: 'gar',
    request: 'GET /v2/acme/app/manifests/1',
    answers:
      '400 NAME_INVALID: Missing image name. Pushes should be of the form docker push HOST-NAME/PROJECT-ID/REPOSITORY/IMAGE',
  },
  {
    mode: 'gar',
    options: { exists: () => false },
    request: 'POST /v2/acme/team/app/blobs/uploads/',
    answers: '404 NAME_UNKNOWN: Repository "team" not found',
  },
  {
    mode: 'gar',
    options: immutable,
    request: 'PUT /v2/acme/team/app/manifests/1',
    body: image,
    answers:
      '400 MANIFEST_INVALID: cannot update tag 1. The repository has enabled tag immutability',
  },
  {
    mode: 'gar',
    request: 'PATCH /v2/acme/team/app/blobs/uploads/1',
    answers: '405 UNSUPPORTED: The operation is unsupported.',
  },
  {
    mode: 'acr',
    options: elsewhere,
    request: `GET /v2/acme/app/blobs/${layer}`,
    answers: `http://storage.test/v2/acme/app/blobs/${layer}`,
    header: 'location',
  },
  {
    mode: 'acr',
    options: immutable,
    request: 'PUT /v2/acme/app/manifests/1',
    body: image,
    answers:
      '405 REGISTRY_DISALLOWED_OPERATION: The operation is disallowed on this registry, repository or image.',
  },
];

function open(mode: ModeName, options?: ModeOptions): MemoryRegistry {
  const registry = createMemoryRegistry();
  for (const name of ['acme/app', 'acme/team/app']) {
    for (const tag of ['1', 'v-1']) seed(registry, `${name}:${tag}`, image);
    for (const { bytes } of other.blobs) registry.store.putBlob(name, bytes);
  }
  useMode(registry, mode, options);
  return registry;
}

describe('modes of a memory registry', () => {
  for (const { mode, options, request, body, answers, header } of rows) {
    const when = Object.keys(options ?? {}).join();
    it(`${mode}${when === '' ? '' : ` (${when})`} answers ${request.slice(0, 70)} with ${answers.slice(0, 40)}`, async () => {
      const [method = '', path = ''] = request.split(' ');

      const response = await open(mode, options).app.request(path, {
        method,
        headers: { accept: ociManifest, ...(body && { 'content-type': body.mediaType }) },
        ...(body && { body: body.bytes }),
      });

      const text = await response.text();
      const [, code, message] = /"code":"([A-Z_]+)","message":"((?:[^"\\]|\\.)*)"/.exec(text) ?? [];
      const error = code === undefined ? '' : ` ${code}: ${message?.replaceAll('\\"', '"')}`;
      assert.equal(
        header === undefined ? `${response.status}${error}` : String(response.headers.get(header)),
        answers,
      );
    });
  }

  for (const mode of ['gitea', 'zot', 'gar', 'acr'] as const) {
    it(`${mode} starts an upload at a Location without a host`, async () => {
      const { app } = open(mode);

      const { headers } = await app.request('/v2/acme/team/app/blobs/uploads/', { method: 'POST' });

      assert.match(headers.get('location') ?? '', /^\/v2\/acme\/team\/app\/blobs\/uploads\//);
    });
  }

  it('quay finds a repository after its first upload began', async () => {
    const { app } = open('quay');
    await app.request('/v2/acme/new/blobs/uploads/', { method: 'POST' });

    const response = await app.request(`/v2/acme/new/manifests/${digests.absent}`);

    assert.equal(response.status, 404);
  });
});
