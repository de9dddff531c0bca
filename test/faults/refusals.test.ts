import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import {
  answer,
  changeContentLength,
  changeHeaders,
  corruptBody,
  createHold,
  cutBody,
  dropConnection,
  makeImage,
  on,
  redirect,
  rejectUpload,
  seed,
} from '../../lib/memory-registry/index.ts';
import { openScene, type Scene, type SceneOptions } from './scene.ts';

type Faults = Scene['source']['faults'];
type Row = readonly [
  what: string,
  match: Parameters<Faults['add']>[0],
  fault: Parameters<Faults['add']>[1],
  words: string,
];

const image = makeImage({ layers: [100_000] });
const digest = 'sha256:3a10d26a6f0bff03fe85733ef630ed2794c57b3374ff26c718764c390d596944';
const source = 'public.test/app:1';
const exact = `${source}@${digest}`;
/** Written first, so a failed copy names it. */
const copy = 'backup.test/acme/public.test/app:1.3a10d26a6f0b';
const resolving = on('HEAD', 'manifest');
const read = on('GET', 'manifest');
const asking: Row[1] = (request) => resolving(request) || read(request);
const layer = on('GET', 'blob');
const begin = on('POST', 'uploads');
const write = on('PUT', 'upload');
const tag = on('PUT', 'manifest');
const quota =
  'adding 12.0 MiB of storage resource will exceed the configured upper limit of 1.0 GiB';

/** A login page in front of a registry answers every request with 200. */
const login = answer(200, { headers: { 'content-type': 'text/html' }, body: '<h1>Log in</h1>' });
const noManifest =
  'reading its manifest: it served "text/html" instead of a manifest; check for a proxy or a login page in front of it';

let scene: Scene | undefined;
async function open(options?: SceneOptions): Promise<Scene> {
  scene = await openScene(options);
  seed(scene.source, 'app:1', image);
  return scene;
}
afterEach(async () => {
  await scene?.close();
  scene = undefined;
});

function errors(code: string, message: string): { readonly body: string } {
  return { body: JSON.stringify({ errors: [{ code, message }] }) };
}

async function refuses(scene: Scene, words: string): Promise<void> {
  const result = await scene.apply();

  assert.deepEqual([result.allowed, result.code], [false, 403]);
  assert.equal(result.message, `container "web": ${words}`);
  assert.deepEqual(scene.backup.store.tags('acme/public.test/app'), []);
}

describe('refusals when the source', () => {
  const wrongDigest = changeHeaders({ 'docker-content-digest': `sha256:${'f'.repeat(64)}` });
  const rows: readonly Row[] = [
    [
      'cuts the connection',
      resolving,
      dropConnection(),
      `public.test cannot be reached for ${source}: resolving the reference: the connection was reset`,
    ],
    [
      'cuts the connection in the middle of a layer, again and again',
      layer,
      cutBody(50),
      `public.test cannot be reached for ${exact}: reading a layer: the connection was reset`,
    ],
    [
      'cuts its manifest short',
      read,
      cutBody(50),
      `public.test cannot be reached for ${exact}: reading its manifest: the connection was reset`,
    ],
    [
      'serves a layer with one wrong bit',
      layer,
      corruptBody(60),
      `public.test did not serve ${exact}: reading a layer: its content does not match its digest`,
    ],
    [
      'serves a manifest with one wrong bit',
      read,
      corruptBody(60),
      `public.test did not serve ${exact}: reading its manifest: it served content with another digest`,
    ],
    [
      'sends a Content-Length below the size of a layer',
      layer,
      changeContentLength(77),
      `public.test did not serve ${exact}: reading a layer: its length differs from the manifest`,
    ],
    [
      'sends a Content-Length above the size of a layer',
      layer,
      changeContentLength(1_000_000),
      `public.test did not serve ${exact}: reading a layer: its length differs from the manifest`,
    ],
    [
      'resolves a tag to a digest that it does not have',
      resolving,
      wrongDigest,
      `public.test/app:1@sha256:${'f'.repeat(64)} does not exist on public.test`,
    ],
    [
      'redirects in a circle',
      resolving,
      redirect(({ href }) => href),
      `public.test did not serve ${source}: resolving the reference: it redirects more than 5 times`,
    ],
    [
      'redirects layers in a circle',
      layer,
      redirect(({ href }) => href),
      `public.test did not serve ${exact}: reading a layer: it redirects more than 5 times`,
    ],
    [
      'has a login page in front of its layers',
      layer,
      login,
      `public.test returned an error for ${exact}: reading a layer: it served a web page; check for a proxy or a login page in front of it`,
    ],
    [
      'answers 405 to a layer',
      layer,
      answer(405),
      `public.test did not serve ${exact}: reading a layer: The operation is unsupported.`,
    ],
    [
      'answers 400',
      asking,
      answer(400),
      `public.test did not serve ${source}: reading its manifest: status 400 (unknown error)`,
    ],
    [
      'answers 500',
      asking,
      answer(500),
      `public.test returned an error for ${source}: reading its manifest: status 500 (unknown error)`,
    ],
    [
      'answers 404 to a layer',
      // Of two concurrent requests either may be answered first.
      (request) => layer(request) && request.path.endsWith(image.blobs[0]?.digest ?? ''),
      answer(404),
      `public.test does not have all of ${exact} (reading a layer: ${image.blobs[0]?.digest} not found)`,
    ],
    [
      'answers 429',
      resolving,
      answer(429),
      `public.test rejected the request for ${source}: rate limit; try again later, or authenticate (SOURCE_AUTH_FILE) to get a separate limit`,
    ],
    ...[408, 502, 503, 504].map(
      (status): Row => [
        `answers ${status}`,
        resolving,
        answer(status),
        `public.test returned an error for ${source}: resolving the reference: status ${status}`,
      ],
    ),
    [
      'answers 500 to a layer',
      layer,
      answer(500),
      `public.test returned an error for ${exact}: reading a layer: status 500 (unknown error)`,
    ],
    [
      'is down and sends a message with terminal escapes',
      layer,
      answer(503, errors('UNAVAILABLE', 'back at \u001b[31mnoon\u001b[0m\r\n')),
      `public.test returned an error for ${exact}: reading a layer: back at [31mnoon [0m`,
    ],
  ];
  for (const [what, match, fault, words] of rows) {
    it(`refuses an image when the source ${what}`, async () => {
      const scene = await open();
      scene.source.faults.add(match, fault);

      await refuses(scene, words);
    });
  }

  for (const status of [401, 403, 404]) {
    it(`refuses an image when the source answers ${status} to HEAD and GET`, async () => {
      const scene = await open();
      scene.source.faults.add(resolving, answer(status));
      scene.source.faults.add(read, answer(status));

      await refuses(
        scene,
        status === 404
          ? `${source} does not exist on public.test`
          : `public.test denied access to ${source}: the image is private or does not exist`,
      );
    });
  }

  it('refuses an image when the source has a login page in front', async () => {
    const scene = await open();
    scene.source.faults.add(resolving, login);
    scene.source.faults.add(read, login);

    await refuses(scene, `public.test returned an error for ${source}: ${noManifest}`);
  });

  it('refuses an image when the source does not answer at all', async () => {
    const scene = await open({ budgetMs: 60 });
    const hold = createHold();
    scene.source.faults.add(resolving, hold.fault);

    const { message } = await scene.apply();
    hold.release();

    assert.match(
      message ?? '',
      /^container "web": public\.test did not say within 0\.0\d s whether public\.test\/app:1 exists$/,
    );
  });

  it('refuses an image when it is larger than MAX_IMAGE_BYTES', async () => {
    const scene = await open({ maxImageBytes: 1_000 });

    const { message } = await scene.apply();

    assert.match(
      message ?? '',
      /^container "web": public\.test\/app:1@sha256:3a10\S+ cannot be copied: it has \d+ bytes, more than MAX_IMAGE_BYTES \(1000\)$/,
    );
  });
});

describe('refusals when the backup', () => {
  const refused = 'the backup registry backup.test did not accept';
  const denied = 'the backup registry backup.test denied access to';
  const check = 'check the user in registry-auth and its permissions';
  const unknown = 'the backup registry backup.test does not have';
  const first = 'if it creates no repository on push, create it first';
  const rows: readonly Row[] = [
    [
      'cuts the connection in the middle of a layer, again and again',
      write,
      dropConnection(),
      `the backup registry backup.test cannot be reached for ${copy}: writing a layer: the connection was reset`,
    ],
    [
      'loses the upload again and again',
      write,
      answer(404, errors('BLOB_UPLOAD_UNKNOWN', 'blob upload unknown to registry')),
      `${refused} ${copy}: writing a layer: blob upload unknown to registry`,
    ],
    [
      'has a proxy in front that limits the body size',
      write,
      rejectUpload(10),
      `${refused} ${copy}: writing a layer: the upload is too large (413); raise the size limit of the registry or of the proxy before it`,
    ],
    [
      'is full (507)',
      write,
      rejectUpload(10, 507),
      `${refused} ${copy}: writing a layer: no space left (507); free space in the registry`,
    ],
    [
      'has a quota on layers',
      write,
      answer(403, errors('DENIED', quota)),
      `${refused} ${copy}: writing a layer: no storage left (${quota})`,
    ],
    [
      'has a quota on manifests',
      tag,
      answer(403, errors('DENIED', quota)),
      `${refused} ${copy}: writing the manifest: no storage left (${quota})`,
    ],
    [
      'rejects the credentials',
      begin,
      answer(401),
      `${denied} ${copy} (starting an upload: authentication required); ${check}`,
    ],
    [
      'allows reads only',
      begin,
      answer(403),
      `${denied} ${copy} (starting an upload: requested access to the resource is denied); ${check}`,
    ],
    [
      'has a login page in front of uploads',
      begin,
      login,
      `the backup registry backup.test returned an error for ${copy}: starting an upload: it served a web page; check for a proxy or a login page in front of it`,
    ],
    [
      'has a login page in front of manifests',
      ({ method, kind }) => method === 'PUT' && kind === 'manifest',
      login,
      `the backup registry backup.test returned an error for ${copy}: writing the manifest: it served a web page; check for a proxy or a login page in front of it`,
    ],
    [
      'requires repositories to be created first',
      begin,
      answer(404),
      `${unknown} ${copy} (starting an upload: repository name not known to registry); ${first}`,
    ],
    [
      'limits the request rate',
      write,
      answer(429),
      `the backup registry backup.test rejected the request for ${copy}: rate limit; try again later`,
    ],
    ...[408, 500, 502, 504].map(
      (status): Row => [
        `answers ${status}`,
        tag,
        answer(status),
        `the backup registry backup.test returned an error for ${copy}: writing the manifest: status ${status} (unknown error)`,
      ],
    ),
  ];
  for (const [what, match, fault, words] of rows) {
    it(`refuses an image when the backup ${what}`, async () => {
      const scene = await open();
      scene.backup.faults.add(match, fault);

      await refuses(scene, `${source}: ${words}`);
    });
  }
});

describe('what an image can do without', () => {
  it('is admitted without signatures when the source limits requests for them for an hour', async () => {
    const scene = await open();
    scene.source.faults.add(
      ({ kind, path }) => kind === 'referrers' || path.includes('/manifests/sha256-'),
      answer(429, { headers: { 'retry-after': '3600' } }),
    );

    const first = await scene.apply();
    const second = await scene.apply();

    assert.deepEqual(
      [first.message, first.warnings],
      [undefined, [`${source}: the image was copied, its signatures were not`]],
    );
    assert.deepEqual([second.message, second.warnings], [undefined, []]);
  });
});

describe('one transient fault', () => {
  const moments: readonly (readonly [string, 'source' | 'backup', Row[1], Row[2]])[] = [
    ['a reset while a tag is resolved', 'source', resolving, dropConnection()],
    ['a reset in a layer', 'source', layer, cutBody(50)],
    ['a 503 while a tag is resolved', 'source', resolving, answer(503)],
    ['a reset of an upload', 'backup', write, dropConnection()],
    [
      'an upload session that is lost',
      'backup',
      write,
      answer(404, errors('BLOB_UPLOAD_UNKNOWN', 'gone')),
    ],
    ['a 500 for a manifest', 'backup', tag, answer(500)],
  ];
  for (const [what, side, match, fault] of moments) {
    it(`recovers from one transient fault of a registry: ${what}`, async () => {
      const scene = await open();
      const met = scene[side].faults.add(match, fault, { times: 1 });

      const result = await scene.apply();

      assert.equal(met.hits(), 1);
      assert.deepEqual([result.allowed, result.message, result.warnings], [true, undefined, []]);
    });
  }
});
