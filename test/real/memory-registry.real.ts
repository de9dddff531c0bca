import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  createMemoryRegistry,
  type Image,
  type MemoryRegistry,
  type MemoryRegistryOptions,
  makeImage,
  makeIndex,
  type ServedRegistry,
  seed,
  serveMemoryRegistry,
} from '../../lib/memory-registry/index.ts';
import { type DockerDaemon, startDockerDaemon } from './support/docker-daemon.ts';
import { type Registry, startRegistry } from './support/docker-registry.ts';
import { createTempDir } from './support/janitor.ts';
import { type ProgramResult, runProgram } from './support/program.ts';

const user = 'ann';
const password = 's3cret:+/=';
const users = { [user]: password };

const guards: readonly { readonly name: string; readonly options: MemoryRegistryOptions }[] = [
  { name: 'open to everybody', options: {} },
  { name: 'with a password', options: { auth: { scheme: 'basic', users } } },
  { name: 'with tokens', options: { auth: { scheme: 'bearer', users } } },
];

/** Third-party clients against the memory registry. */
for (const { name, options } of guards) {
  describe(`a memory registry ${name}`, () => {
    const isOpen = options.auth === undefined;
    const platforms = makeIndex([makeImage(), makeImage({ platform: 'linux/arm64' })]);
    const attested = makeIndex([makeImage({ seed: 'attested' })], { attestations: true });
    let registry: MemoryRegistry;
    let served: ServedRegistry;
    let config: string;

    before(async () => {
      registry = createMemoryRegistry(options);
      served = await serveMemoryRegistry({ registry });
      seed(registry, 'app:oci', platforms);
      seed(registry, 'app:attested', attested);
      seed(registry, 'app:docker', makeImage({ mediaTypes: 'docker' }));
      config = createTempDir('docker-config');
      const auth = Buffer.from(`${user}:${password}`).toString('base64');
      const auths = isOpen ? {} : { [served.host]: { auth } };
      await writeFile(join(config, 'config.json'), JSON.stringify({ auths }));
    });
    after(() => served.close());

    async function run(program: string, ...args: readonly string[]): Promise<string> {
      return expectOk(await runProgram(program, args, { env: { DOCKER_CONFIG: config } }));
    }

    function held(repository: string, tag: string): string | undefined {
      return registry.store.manifest(repository, tag)?.digest;
    }

    const at = (path: string): string => `${served.host}/${path}`;
    const docker = (path: string): string => `docker://${at(path)}`;
    const insecure = ['--src-tls-verify=false', '--dest-tls-verify=false'];
    const authFile = (): string => join(config, 'config.json');

    for (const [tag, image] of [
      ['oci', platforms],
      ['attested', attested],
    ] as const) {
      it(`keeps the digest when skopeo copies within and out of the memory registry (${tag})`, async () => {
        const dir = `oci:${createTempDir('layout')}:x`;
        const all = ['copy', '--all', '--authfile', authFile(), ...insecure];

        await run('skopeo', ...all, docker(`app:${tag}`), docker(`by-skopeo:${tag}`));
        await run('skopeo', ...all, docker(`app:${tag}`), dir);
        await run('skopeo', ...all, dir, docker(`from-layout:${tag}`));

        assert.equal(held('by-skopeo', tag), image.digest);
        assert.equal(held('from-layout', tag), image.digest);
        assert.deepEqual(registry.store.uploads.list(), []);
      });
    }

    it('a memory registry serves skopeo inspect and list-tags', async () => {
      const flags = ['--tls-verify=false', '--authfile', authFile()];
      const tags = await run('skopeo', 'list-tags', ...flags, docker('app'));
      const raw = await run('skopeo', 'inspect', '--raw', ...flags, docker('app:oci'));

      assert.match(tags, /"attested",\s+"docker",\s+"oci"/);
      assert.equal(raw, new TextDecoder().decode(platforms.bytes));
    });

    it('a memory registry serves crane pull, push, copy, ls and validate', async () => {
      const tarball = join(createTempDir('crane'), 'image.tar');

      await run('crane', 'pull', '--format=oci', at('app:oci'), `${tarball}.dir`);
      await run('crane', 'push', '--index', `${tarball}.dir`, at('by-crane:oci'));
      await run('crane', 'copy', at('app:attested'), at('copied/by/crane:1'));
      await run('crane', 'validate', '--remote', at('by-crane:oci'));
      await run('crane', 'validate', '--remote', at('app:docker'));
      const digest = await run('crane', 'digest', at('by-crane:oci'));
      const catalog = await run('crane', 'catalog', served.host);

      assert.equal(digest.trim(), held('by-crane', 'oci'));
      assert.equal(held('copied/by/crane', '1'), attested.digest);
      assert.match(catalog, /^app$/m);
    });

    it('a memory registry serves crane append and delete', async () => {
      const layer = join(createTempDir('layer'), 'layer.tar');
      await writeFile(layer, randomBytes(3 * 1024 * 1024));

      await run('crane', 'append', '-b', at('app:docker'), '-f', layer, '-t', at('appended:1'));
      await run('crane', 'delete', at(`appended@${held('appended', '1')}`));

      assert.deepEqual(registry.store.manifests('appended'), []);
    });
  });
}

describe('dockerd with memory registries', () => {
  let daemon: DockerDaemon;
  before(async () => {
    daemon = await startDockerDaemon();
  });
  after(() => daemon.stop());

  for (const { name, options } of guards) {
    it(`dockerd pulls from and pushes to a memory registry ${name}`, async () => {
      const registry = createMemoryRegistry(options);
      const served = await serveMemoryRegistry({ registry });
      const config = createTempDir('docker-config');
      const docker = async (...args: readonly string[]): Promise<string> =>
        expectOk(await daemon.cli(['--config', config, ...args]));
      const image = makeIndex([
        makeImage({ layers: [200_000, 100], seed: name }),
        makeImage({ platform: 'linux/arm64', seed: name }),
      ]);
      seed(registry, 'app/a:1', image);

      if (options.auth !== undefined) {
        await docker('login', '--username', user, '--password', password, served.host);
      }
      const pulled = await docker('pull', `${served.host}/app/a:1`);
      await docker('tag', `${served.host}/app/a:1`, `${served.host}/copy/b:2`);
      await docker('push', `${served.host}/copy/b:2`);
      await docker('rmi', `${served.host}/app/a:1`, `${served.host}/copy/b:2`);
      const again = await docker('pull', `${served.host}/copy/b:2`);

      const copy = registry.store.manifest('copy/b', '2')?.digest ?? '';
      assert.match(pulled, new RegExp(`Digest: ${image.digest}`));
      assert.match(again, new RegExp(`Digest: ${copy}`));
      assert.deepEqual(registry.store.uploads.list(), []);
      await served.close();
    });
  }
});

function expectOk({ code, stdout, stderr }: ProgramResult): string {
  assert.equal(code, 0, stderr);
  return stdout;
}

const ociManifest = 'application/vnd.oci.image.manifest.v1+json';
const ociIndex = 'application/vnd.oci.image.index.v1+json';
const dockerManifest = 'application/vnd.docker.distribution.manifest.v2+json';
const dockerList = 'application/vnd.docker.distribution.manifest.list.v2+json';
const foreignLayer = 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip';
const absent = `sha256:${'0'.repeat(64)}`;

function as(type: string): Readonly<Record<string, string>> {
  return { 'content-type': type };
}

function accept(...types: readonly string[]): Readonly<Record<string, string>> {
  return { accept: types.join(', ') };
}

function range(value: string): Readonly<Record<string, string>> {
  return { range: value };
}

interface Comparison {
  readonly request: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array<ArrayBuffer>;
}

/** Sends the same requests to both registries, in this order. */
describe('a memory registry compared with docker-registry', () => {
  const image = makeImage({ layers: [4096, new TextEncoder().encode('hello')] });
  const docker = makeImage({ mediaTypes: 'docker' });
  const list = makeIndex([docker], { mediaTypes: 'docker' });
  const index = makeIndex([image, makeImage({ platform: 'linux/arm64' })], { attestations: true });
  const nested = makeIndex([index]);
  const manifest = new TextDecoder().decode(image.bytes);
  const blob = image.blobs[1]?.digest ?? '';
  const changed = (change: object): string =>
    JSON.stringify({ schemaVersion: 2, mediaType: ociManifest, ...fieldsOf(image), ...change });

  const rows: readonly Comparison[] = [
    { request: 'GET /v2/' },
    { request: 'HEAD /v2/' },
    { request: 'GET /v3/' },
    { request: 'GET /v2/_catalog' },
    { request: 'GET /v2/_catalog?n=1' },
    { request: 'GET /v2/_catalog?n=x' },
    { request: 'POST /v2/_catalog' },
    { request: 'GET /v2/app/tags/list' },
    { request: 'GET /v2/nope/tags/list' },
    { request: 'GET /v2/app/tags/other' },
    { request: 'PUT /v2/app/tags/list' },
    { request: 'GET /v2/app/manifests/oci', headers: accept(ociManifest) },
    { request: 'GET /v2/app/manifests/oci', headers: accept(`${ociManifest};q=0.5`) },
    { request: 'GET /v2/app/manifests/oci', headers: accept(ociIndex) },
    { request: 'GET /v2/app/manifests/oci', headers: accept(dockerManifest) },
    { request: `GET /v2/app/manifests/${image.digest}`, headers: accept(dockerManifest) },
    { request: 'GET /v2/app/manifests/index', headers: accept(ociIndex, ociManifest) },
    { request: 'GET /v2/app/manifests/index', headers: accept(ociManifest) },
    { request: 'GET /v2/app/manifests/nested', headers: accept(ociIndex) },
    { request: 'GET /v2/app/manifests/docker', headers: accept(dockerManifest) },
    { request: 'GET /v2/app/manifests/list', headers: accept(dockerList) },
    { request: 'GET /v2/app/manifests/list', headers: accept(dockerManifest) },
    { request: `GET /v2/app/manifests/${list.digest}`, headers: accept(dockerManifest) },
    { request: 'HEAD /v2/app/manifests/oci', headers: accept(ociManifest) },
    { request: 'HEAD /v2/app/manifests/nope', headers: accept(ociManifest) },
    { request: 'GET /v2/app/manifests/nope', headers: accept(ociManifest) },
    { request: `GET /v2/app/manifests/${absent}`, headers: accept(ociManifest) },
    { request: 'GET /v2/nope/manifests/latest', headers: accept(ociManifest) },
    { request: 'GET /v2/app/manifests/.x' },
    { request: 'GET /v2/App/manifests/x' },
    {
      request: 'GET /v2/app/manifests/oci',
      headers: { ...accept(ociManifest), 'if-none-match': `"${image.digest}"` },
    },
    {
      request: `GET /v2/app/manifests/${image.digest.replace(':', '%3A')}`,
      headers: accept(ociManifest),
    },
    { request: 'POST /v2/app/manifests/x' },
    { request: `GET /v2/app/blobs/${blob}` },
    { request: `HEAD /v2/app/blobs/${blob}` },
    { request: `GET /v2/app/blobs/${absent}` },
    { request: `HEAD /v2/app/blobs/${absent}` },
    { request: `GET /v2/nope/blobs/${blob}` },
    { request: 'GET /v2/app/blobs/sha256:abc' },
    { request: `GET /v2/app/blobs/md5:${'0'.repeat(32)}` },
    { request: `PUT /v2/app/blobs/${blob}` },
    { request: `GET /v2/app/blobs/${blob}`, headers: range('bytes=0-9') },
    { request: `GET /v2/app/blobs/${blob}`, headers: range('bytes=100-') },
    { request: `GET /v2/app/blobs/${blob}`, headers: range('bytes=-10') },
    { request: `GET /v2/app/blobs/${blob}`, headers: range('bytes=0-99999999') },
    { request: `GET /v2/app/blobs/${blob}`, headers: { 'if-none-match': `"${blob}"` } },
    { request: 'PUT /v2/app/manifests/new', headers: as(ociManifest), body: manifest },
    { request: `PUT /v2/app/manifests/${image.digest}`, headers: as(ociManifest), body: manifest },
    { request: `PUT /v2/app/manifests/${absent}`, headers: as(ociManifest), body: manifest },
    { request: 'PUT /v2/app/manifests/new', headers: as(dockerManifest), body: manifest },
    { request: 'PUT /v2/app/manifests/new', headers: as('application/json'), body: manifest },
    { request: 'PUT /v2/app/manifests/new', headers: as('text/plain'), body: manifest },
    { request: 'PUT /v2/app/manifests/new', body: manifest },
    { request: 'PUT /v2/app/manifests/new', headers: as(ociManifest), body: '{' },
    { request: 'PUT /v2/app/manifests/new', headers: as(ociManifest), body: '' },
    { request: 'PUT /v2/other/manifests/new', headers: as(ociManifest), body: manifest },
    { request: 'PUT /v2/other/manifests/new', headers: as(ociIndex), body: index.bytes },
    {
      request: 'PUT /v2/app/manifests/new',
      headers: as(ociManifest),
      body: changed({ manifests: [] }),
    },
    {
      request: 'PUT /v2/app/manifests/new',
      headers: as(ociManifest),
      body: changed({ mediaType: undefined }),
    },
    {
      request: 'PUT /v2/app/manifests/new',
      headers: as(ociManifest),
      body: changed({ layers: [] }),
    },
    {
      request: 'PUT /v2/app/manifests/new',
      headers: as(ociManifest),
      body: changed({ layers: [{ mediaType: 'x/y', digest: absent, size: 1 }] }),
    },
    {
      request: 'PUT /v2/app/manifests/new',
      headers: as(ociManifest),
      body: changed({ config: { mediaType: 'x/y', digest: absent, size: 1 } }),
    },
    {
      request: 'PUT /v2/app/manifests/new',
      headers: as(ociManifest),
      body: changed({ subject: { mediaType: ociManifest, digest: absent, size: 1 } }),
    },
    { request: `GET /v2/app/referrers/${image.digest}` },
    { request: 'POST /v2/App/blobs/uploads/' },
    { request: `POST /v2/fresh/blobs/uploads/?mount=${blob}&from=app` },
    { request: `POST /v2/fresh/blobs/uploads/?mount=${absent}&from=app` },
    { request: `POST /v2/fresh/blobs/uploads/?mount=${blob}` },
    { request: 'POST /v2/fresh/blobs/uploads/?mount=bad&from=app' },
    { request: `POST /v2/fresh/blobs/uploads/?mount=${blob}&from=nope` },
    { request: `POST /v2/fresh/blobs/uploads/?digest=${blob}`, body: 'x' },
    { request: 'GET /v2/app/blobs/uploads/00000000-0000-0000-0000-000000000000' },
    { request: 'PATCH /v2/app/blobs/uploads/x' },
    { request: 'DELETE /v2/app/blobs/uploads/x' },
    { request: `DELETE /v2/app/manifests/${absent}` },
    { request: `DELETE /v2/app/blobs/${absent}` },
    { request: `DELETE /v2/app/manifests/${docker.digest}` },
    { request: 'GET /v2/app/manifests/docker', headers: accept(dockerManifest) },
    { request: `DELETE /v2/app/blobs/${blob}` },
    { request: `GET /v2/app/blobs/${blob}` },
  ];

  /** Where docker-registry differs from the specification or from other registries: its response, then the memory registry's. */
  const differences: readonly (Comparison & {
    readonly theirs: string;
    readonly ours: string;
  })[] = [
    { request: 'GET /v2', theirs: '301', ours: '404' },
    {
      request: 'GET /v2/app/manifests/oci',
      headers: accept('*/*'),
      theirs: '404 MANIFEST_UNKNOWN',
      ours: '200',
    },
    {
      request: 'GET /v2/app/manifests/sha256:abc',
      theirs: '500 UNKNOWN',
      ours: '400 DIGEST_INVALID',
    },
    {
      request: 'PUT /v2/app/manifests/new',
      headers: as(ociManifest),
      body: '{}',
      theirs: '500 UNKNOWN',
      ours: '400 MANIFEST_INVALID',
    },
    {
      request: 'PUT /v2/app/manifests/new',
      headers: as(ociManifest),
      body: changed({ x: 'y'.repeat(4 * 1024 * 1024) }),
      theirs: '400 MANIFEST_INVALID',
      ours: '413 MANIFEST_INVALID',
    },
    {
      request: 'PUT /v2/app/manifests/new',
      headers: as(ociManifest),
      body: changed({
        layers: [{ mediaType: foreignLayer, digest: absent, size: 1, urls: ['https://x.test/'] }],
      }),
      theirs: '500 UNKNOWN',
      ours: '201',
    },
    { request: 'DELETE /v2/app/manifests/oci', theirs: '400 DIGEST_INVALID', ours: '202' },
  ];

  let theirs: Registry;
  let served: ServedRegistry;

  before(async () => {
    theirs = await startRegistry();
    served = await serveMemoryRegistry({ registry: createMemoryRegistry({ referrers: false }) });
    for (const [tag, each] of Object.entries({ oci: image, docker, list, index, nested })) {
      await push(theirs.host, tag, each);
      await push(served.host, tag, each);
    }
  });
  after(async () => {
    await Promise.all([served.close(), theirs.stop()]);
  });

  /** Copies an image byte for byte; skopeo does not copy an index in an index. */
  async function push(host: string, tag: string, each: Image): Promise<void> {
    for (const child of each.children) await push(host, child.digest, child);
    for (const { digest, bytes } of each.blobs) {
      const begun = await fetch(`http://${host}/v2/app/blobs/uploads/`, { method: 'POST' });
      const location = new URL(begun.headers.get('location') ?? '');
      location.searchParams.set('digest', digest);
      assert.equal((await fetch(location, { method: 'PUT', body: bytes })).status, 201);
    }
    const { status } = await fetch(`http://${host}/v2/app/manifests/${tag}`, {
      method: 'PUT',
      headers: as(each.mediaType),
      body: each.bytes,
    });
    assert.equal(status, 201);
  }

  async function sendRequest(
    host: string,
    { request, headers = {}, body }: Comparison,
  ): Promise<string> {
    const [method = '', path = ''] = request.split(' ');
    const response = await fetch(`http://${host}${path}`, {
      method,
      headers,
      redirect: 'manual',
      ...(body !== undefined && {
        body: typeof body === 'string' ? new TextEncoder().encode(body) : body,
      }),
    });
    const code = /"errors":\[\{"code":"([A-Z_]+)"/.exec(await response.text())?.[1];
    return `${response.status}${code === undefined ? '' : ` ${code}`}`;
  }

  for (const row of rows) {
    it(`a memory registry responds as docker-registry does: ${title(row)}`, async () => {
      assert.equal(await sendRequest(served.host, row), await sendRequest(theirs.host, row));
    });
  }

  for (const row of differences) {
    it(`a memory registry responds differently from docker-registry: ${title(row)}`, async () => {
      assert.equal(await sendRequest(theirs.host, row), row.theirs);
      assert.equal(await sendRequest(served.host, row), row.ours);
    });
  }

  const octets = as('application/octet-stream');
  const uploads: readonly {
    readonly title: string;
    /** Consecutive requests, each to the last Location with this query. */
    readonly steps: readonly (Comparison & { readonly stale?: boolean })[];
  }[] = [
    { title: 'status', steps: [{ request: 'GET' }, { request: 'HEAD' }] },
    {
      title: 'stream, then end',
      steps: [
        { request: 'PATCH', headers: octets, body: 'hello' },
        { request: 'GET' },
        { request: `PUT ${image.blobs[2]?.digest}` },
      ],
    },
    {
      title: 'an old state, then the new one',
      steps: [
        { request: 'PATCH', headers: octets, body: 'hello' },
        { request: `PUT ${image.blobs[2]?.digest}`, stale: true },
        { request: `PUT ${image.blobs[2]?.digest}` },
      ],
    },
    {
      title: 'a chunk of text',
      steps: [{ request: 'PATCH', headers: as('text/plain'), body: 'x' }],
    },
    { title: 'no digest', steps: [{ request: 'PUT', body: 'x' }] },
    { title: 'no digest that could be one', steps: [{ request: 'PUT foo', body: 'x' }] },
    { title: 'a wrong digest', steps: [{ request: `PUT ${absent}`, body: 'x' }] },
    {
      title: 'an end',
      steps: [{ request: `PUT ${image.blobs[2]?.digest}`, body: 'hello' }, { request: 'GET' }],
    },
    { title: 'a cancellation', steps: [{ request: 'DELETE' }, { request: 'GET' }] },
  ];

  async function upload(host: string, steps: (typeof uploads)[number]['steps']): Promise<string[]> {
    const begun = await fetch(`http://${host}/v2/up/blobs/uploads/`, { method: 'POST' });
    const first = new URL(begun.headers.get('location') ?? '');
    let location = first;
    const answers = [];
    for (const { request, headers = {}, body, stale = false } of steps) {
      const [method = '', digest] = request.split(' ');
      const url = new URL(stale ? first : location);
      if (digest !== undefined) url.searchParams.set('digest', digest);
      const response = await fetch(url, {
        method,
        headers,
        ...(body !== undefined && { body }),
      });
      const code = /"code":"([A-Z_]+)"/.exec(await response.text())?.[1];
      answers.push(`${response.status} ${code} ${response.headers.get('range')}`);
      const next = response.headers.get('location');
      if (next?.includes('/uploads/') === true) location = new URL(next);
    }
    return answers;
  }

  for (const { title, steps } of uploads) {
    it(`a memory registry handles an upload as docker-registry does: ${title}`, async () => {
      assert.deepEqual(await upload(served.host, steps), await upload(theirs.host, steps));
    });
  }
});

function title({ request, headers = {} }: Comparison): string {
  const short = request.replaceAll(/([0-9a-f]{8})[0-9a-f]{56}/g, '$1…');
  const types = Object.values(headers).join(' ').replaceAll('application/vnd.', '');
  return types === '' ? short : `${short} (${types.slice(0, 60)})`;
}

/** The config and layers of a manifest. */
function fieldsOf({ blobs: [config, ...layers] }: Image): object {
  return { config: config && toDescriptor(config), layers: layers.map(toDescriptor) };
}

function toDescriptor({ mediaType, digest, size }: Image['blobs'][number]): object {
  return { mediaType, digest, size };
}
