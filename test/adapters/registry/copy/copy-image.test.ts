import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { CloneError } from '../../../../lib/errors.ts';
import {
  answer,
  cutBody,
  emptyConfig,
  type Image,
  makeImage,
  makeIndex,
  on,
  refuseMount,
  seed,
  useMode,
} from '../../../../lib/memory-registry/index.ts';
import { propertyRuns } from '../../../support/property-runs.ts';
import { type Bench, forgottenUploads, useBench, walk } from '../bench.ts';

const ociIndex = 'application/vnd.oci.image.index.v1+json';
const ociImage = 'application/vnd.oci.image.manifest.v1+json';

const open = useBench();

/** Incompressible bytes of any length. */
function bytes(length: number, fill = 7): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, index) => (index * 31 + fill) % 251);
}

/** Stores any manifest in the source, without checks. */
function plant({ source }: Bench, body: object, mediaType: string): string {
  const encoded = new TextEncoder().encode(JSON.stringify(body));
  return source.store.putManifest('app', { mediaType, bytes: Uint8Array.from(encoded) }, '1')
    .digest;
}

/** distribution 2.8 on a file system, during two concurrent writes. */
const halfWritten = answer(400, {
  body: '{"errors":[{"code":"DIGEST_INVALID","message":"provided digest did not match uploaded content"}]}',
});

function nothingWritten({ backup }: Bench): void {
  assert.deepEqual(backup.store.tags('acme/app'), []);
  assert.deepEqual(backup.store.manifests('acme/app'), []);
  assert.deepEqual(forgottenUploads(backup), []);
}

describe('copyImage', () => {
  it('retries to read manifests whose connection was reset', async () => {
    const bench = await open();
    const image = seed(bench.source, 'app:1', makeIndex([makeImage()]));
    const met = bench.source.faults.add(on('GET', 'manifest'), cutBody(10), { times: 3 });

    await bench.copy('app', image.digest);

    assert.equal(met.hits(), 3);
    assert.deepEqual(
      walk(bench.backup, 'acme/app', 'last'),
      walk(bench.source, 'app', image.digest),
    );
  });

  it('retries a manifest after a conflict with another writer', async () => {
    const bench = await open();
    const image = seed(bench.source, 'app:1', makeImage());
    const met = bench.backup.faults.add(on('PUT', 'manifest'), halfWritten, { times: 2 });

    await bench.copy('app', image.digest);

    assert.equal(met.hits(), 2);
    assert.deepEqual(walk(bench.backup, 'acme/app', 'last'), walk(bench.source, 'app', '1'));
  });

  it('writes no tag for a manifest that the backup accepts and cannot serve', async () => {
    const bench = await open();
    const image = seed(bench.source, 'app:1', makeIndex([makeImage()]));
    // After a full disk, distribution 2.8 keeps an empty file in place of the manifest.
    const isWritten = (): boolean => bench.backup.store.manifests('acme/app').length > 0;
    const isAsked = on('HEAD', 'manifest');
    bench.backup.faults.add((request) => isAsked(request) && isWritten(), answer(500));

    await assert.rejects(bench.copy('app', image.digest), {
      code: 'BACKUP_UNAVAILABLE',
      message: `the backup registry ${bench.backup.host} returned an error for ${bench.backup.host}/acme/app:first: checking for a manifest: status 500`,
    });

    assert.deepEqual(bench.backup.store.tags('acme/app'), []);
  });

  const amd = makeImage({ seed: 'a' });
  const arm = makeImage({ seed: 'b', platform: 'linux/arm64' });
  const shared = bytes(5_000);
  const images: readonly (readonly [string, Image])[] = [
    ['an image', amd],
    ["an image in docker's format", makeImage({ mediaTypes: 'docker' })],
    ['an index', makeIndex([amd, arm])],
    [
      "a list in docker's format",
      makeIndex([makeImage({ mediaTypes: 'docker' })], { mediaTypes: 'docker' }),
    ],
    ['an index with attestations', makeIndex([amd, arm], { attestations: true })],
    ['an index of indexes', makeIndex([makeIndex([makeIndex([amd]), arm]), amd])],
    ['an index without images', makeIndex([])],
    ['an image without layers', makeImage({ layers: [] })],
    [
      'images that share layers',
      makeIndex([
        makeImage({ layers: [shared, bytes(3)] }),
        makeImage({ layers: [bytes(4), shared] }),
      ]),
    ],
    ['an image that has one layer three times', makeImage({ layers: [shared, shared, shared] })],
    [
      'an image of 200 layers',
      makeImage({ layers: Array.from({ length: 200 }, (_, index) => bytes(100, index)) }),
    ],
    ['an image with an empty layer', makeImage({ layers: [new Uint8Array(), shared] })],
    ['an image with a config of two bytes', makeImage({ config: emptyConfig })],
    [
      'an image whose layer is its config',
      makeImage({ layers: [emptyConfig.bytes], config: emptyConfig }),
    ],
    ['an image with a layer of 3 MiB', makeImage({ layers: [3 * 1024 * 1024] })],
  ];
  for (const [what, image] of images) {
    it(`copies ${what} byte for byte`, async () => {
      const bench = await open();
      seed(bench.source, 'app:1', image);

      const copied = await bench.copy('app', image.digest);

      assert.equal(copied.digest, image.digest);
      for (const reference of ['first', 'last', image.digest]) {
        assert.deepEqual(walk(bench.backup, 'acme/app', reference), walk(bench.source, 'app', '1'));
      }
      const moved = bench.backup.store
        .blobs('acme/app')
        .map((digest) => bench.backup.store.blob('acme/app', digest)?.size ?? 0);
      assert.equal(
        copied.bytes,
        moved.reduce((sum, size) => sum + size, 0),
      );
      assert.deepEqual(forgottenUploads(bench.backup), []);
    });
  }

  it('uploads a layer that an image lists three times once, and each blob with its length', async () => {
    const bench = await open();
    const image = seed(bench.source, 'app:1', makeImage({ layers: [shared, shared, shared] }));

    await bench.copy('app', image.digest);

    const lengths = bench.backup.requests
      .list({ method: 'PUT', kind: 'upload' })
      .map(({ headers }) => headers.get('content-length'));
    assert.deepEqual(new Set(lengths), new Set(['5000', String(image.blobs[0]?.size)]));
    assert.equal(lengths.length, 2);
    assert.equal(bench.source.requests.count({ method: 'GET', kind: 'blob' }), 2);
  });

  it('writes child manifests before their parents, and tags last', async () => {
    const bench = await open();
    const inner = makeIndex([amd]);
    const image = seed(bench.source, 'app:1', makeIndex([inner, arm]));

    await bench.copy('app', image.digest);

    const written = bench.backup.requests
      .list({ method: 'PUT', kind: 'manifest' })
      .map(({ path }) => path.replace('/v2/acme/app/manifests/', ''));
    assert.deepEqual(written.slice(0, 2).toSorted(), [amd.digest, arm.digest].toSorted());
    assert.deepEqual(written.slice(2), [inner.digest, image.digest, 'first', 'last']);
  });

  it('uploads no blob that the backup has', async () => {
    const bench = await open();
    const image = seed(bench.source, 'app:1', makeIndex([amd, arm], { attestations: true }));
    await bench.copy('app', image.digest);
    bench.source.requests.clear();
    bench.backup.requests.clear();

    const copied = await bench.copy('app', image.digest);

    assert.equal(copied.bytes, 0);
    assert.deepEqual(bench.source.requests.tally()['GET blob'], undefined);
    assert.deepEqual(bench.backup.requests.tally()['POST uploads'], undefined);
    assert.deepEqual(bench.backup.requests.tally()['PUT upload'], undefined);
  });

  it('copies the blobs that the backup lost below a manifest that it still has', async () => {
    const bench = await open();
    const old = seed(bench.source, 'app:1', makeIndex([amd, arm]));
    await bench.copy('app', old.digest);
    for (const { digest } of amd.blobs) bench.backup.store.deleteBlob('acme/app', digest);
    const next = seed(bench.source, 'app:2', makeIndex([amd]));

    await bench.copy('app', next.digest);

    assert.deepEqual(
      walk(bench.backup, 'acme/app', 'last'),
      walk(bench.source, 'app', next.digest),
    );
  });

  it('copies parts again that the backup loses during the copy', async () => {
    const bench = await open();
    const old = seed(bench.source, 'app:1', makeIndex([amd]));
    await bench.copy('app', old.digest);
    const next = seed(bench.source, 'app:2', makeIndex([amd, arm]));
    const [, layer] = amd.blobs;
    bench.backup.faults.add(
      on('PUT', 'upload'),
      async (exchange, next) => {
        bench.backup.store.deleteManifest('acme/app', amd.digest);
        bench.backup.store.deleteBlob('acme/app', layer?.digest ?? '');
        return await next(exchange);
      },
      { times: 1 },
    );

    await bench.copy('app', next.digest);

    assert.deepEqual(
      walk(bench.backup, 'acme/app', 'last'),
      walk(bench.source, 'app', next.digest),
    );
  });

  it('uploads only the layers that the backup lacks', async () => {
    const bench = await open();
    const base = seed(bench.source, 'app:1', makeImage({ layers: [shared] }));
    await bench.copy('app', base.digest);
    const next = seed(bench.source, 'app:2', makeImage({ layers: [shared, bytes(77)] }));

    const copied = await bench.copy('app', next.digest);

    assert.equal(copied.bytes, 77 + (next.blobs[0]?.size ?? 0));
  });

  it('copies the resolved image although its tag has moved', async () => {
    const bench = await open();
    const image = seed(bench.source, 'app:1', makeIndex([amd]));
    const hold = Promise.withResolvers<undefined>();
    bench.source.faults.add(on('GET', 'blob'), async (exchange, next) => {
      await hold.promise;
      return await next(exchange);
    });
    const copying = bench.copy('app', image.digest);
    const newer = seed(bench.source, 'app:1', makeIndex([arm]));
    hold.resolve(undefined);

    await copying;

    assert.notEqual(newer.digest, image.digest);
    assert.deepEqual(
      walk(bench.backup, 'acme/app', 'last'),
      walk(bench.source, 'app', image.digest),
    );
  });

  it('reports the progress of a copy up to the total size and not beyond', async () => {
    const bench = await open();
    const layers = [bytes(40_000), bytes(20_000), bytes(10_000)];
    const image = seed(bench.source, 'app:1', makeImage({ layers }));
    const totalBytes = 70_000 + (image.blobs[0]?.size ?? 0);
    const seen: number[] = [];

    await bench.copy('app', image.digest, {
      onProgress: (progress) => {
        assert.equal(progress.phase, 'copy');
        assert.equal(progress.totalBytes, totalBytes);
        seen.push(progress.doneBytes);
      },
    });

    assert.equal(seen.at(-1), totalBytes);
    assert.ok(seen.every((done) => done >= 0 && done <= totalBytes));
  });

  it('uploads every blob once in two concurrent copies of one image', async () => {
    const bench = await open();
    const image = seed(bench.source, 'app:1', makeImage({ layers: [shared, bytes(300)] }));

    const copies = await Promise.all([
      bench.copy('app', image.digest, { firstTag: 'one', tags: ['a'] }),
      bench.copy('app', image.digest, { firstTag: 'two', tags: ['b'] }),
    ]);

    assert.equal(bench.backup.requests.count({ method: 'PUT', kind: 'upload' }), 3);
    assert.equal(bench.source.requests.count({ method: 'GET', kind: 'blob' }), 3);
    assert.equal(
      copies.reduce((sum, { bytes }) => sum + bytes, 0),
      5_300 + (image.blobs[0]?.size ?? 0),
    );
    for (const tag of ['one', 'two', 'a', 'b']) walk(bench.backup, 'acme/app', tag);
  });

  it('copies at most three blobs of one image at once', async () => {
    const bench = await open();
    const layers = Array.from({ length: 12 }, (_, index) => bytes(100, index));
    const image = seed(bench.source, 'app:1', makeImage({ layers }));
    let running = 0;
    let most = 0;
    bench.backup.faults.add(on('PUT', 'upload'), async (exchange, next) => {
      running += 1;
      most = Math.max(most, running);
      const response = await next(exchange);
      running -= 1;
      return response;
    });

    await bench.copy('app', image.digest);

    assert.ok(most >= 1 && most <= 3, String(most));
  });

  describe('copyImage within one registry', () => {
    const within = (bench: Bench, path = 'acme/app'): object => ({
      target: { domain: bench.source.host, path },
    });

    it('mounts every blob in a copy within one registry', async () => {
      const bench = await open();
      const image = seed(bench.source, 'app:1', makeIndex([amd, arm]));

      const copied = await bench.copy('app', image.digest, within(bench));

      assert.equal(copied.bytes, 0);
      assert.equal(bench.source.requests.count({ method: 'GET', kind: 'blob' }), 0);
      assert.equal(bench.source.requests.count({ method: 'PUT', kind: 'upload' }), 0);
      assert.deepEqual(walk(bench.source, 'acme/app', 'last'), walk(bench.source, 'app', '1'));
    });

    for (const status of [undefined, 400, 403, 405, 500]) {
      it(`uploads a blob if the registry answers its mount with ${status ?? 'an upload session'}`, async () => {
        const bench = await open();
        bench.source.faults.add(on('POST', 'uploads'), refuseMount(status));
        const image = seed(bench.source, 'app:1', makeImage({ layers: [shared] }));

        const copied = await bench.copy('app', image.digest, within(bench));

        assert.ok(copied.bytes > 5_000);
        assert.deepEqual(walk(bench.source, 'acme/app', 'last'), walk(bench.source, 'app', '1'));
        assert.deepEqual(forgottenUploads(bench.source), []);
      });
    }

    it('uploads a blob if the registry answers its mount with 201 and does not have it', async () => {
      const bench = await open();
      const image = seed(bench.source, 'app:1', amd);
      bench.source.faults.add(({ path }) => path.includes('mount='), answer(201, { body: '' }));

      await bench.copy('app', image.digest, within(bench));

      assert.deepEqual(walk(bench.source, 'acme/app', 'last'), walk(bench.source, 'app', '1'));
    });

    it('adds a tag to an image within its repository', async () => {
      const bench = await open();
      const image = seed(bench.source, 'app:1', makeIndex([amd]));
      const sourceAccess = { side: 'backup' } as const;

      const copied = await bench.copy('app', image.digest, {
        ...within(bench, 'app'),
        sourceAccess,
      });

      assert.equal(copied.bytes, 0);
      assert.deepEqual(bench.source.store.tags('app'), ['1', 'first', 'last']);
    });
  });

  describe('copyImage of an unsupported image', () => {
    const digest = `sha256:${'1'.repeat(64)}`;
    const layer = { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest, size: 5 };

    const broken: readonly (readonly [string, object, string, string])[] = [
      [
        'an index with a missing manifest',
        { schemaVersion: 2, manifests: [{ mediaType: ociImage, digest, size: 5 }] },
        ociIndex,
        `it is incomplete: its registry does not have its part ${digest}`,
      ],
      [
        'an index that lists a layer',
        { schemaVersion: 2, manifests: [{ ...layer }] },
        ociIndex,
        `its part ${digest} has the media type "application/vnd.oci.image.layer.v1.tar+gzip", which is not that of an image`,
      ],
      [
        'an index with a wrong size',
        { schemaVersion: 2, manifests: [{ ...amd.descriptor, size: amd.descriptor.size - 1 }] },
        ociIndex,
        `the length of its part ${amd.digest} differs from the index`,
      ],
      [
        'a layer with two sizes',
        { schemaVersion: 2, config: layer, layers: [{ ...layer, size: 6 }] },
        ociImage,
        `it lists ${digest} with two different sizes`,
      ],
      [
        'an empty layer with another digest',
        { schemaVersion: 2, config: { ...layer, size: 0 }, layers: [] },
        ociImage,
        `it lists ${digest} as empty, and the digest is that of other content`,
      ],
    ];
    for (const [what, body, mediaType, why] of broken) {
      it(`rejects ${what} at the source, and writes nothing`, async () => {
        const bench = await open();
        seed(bench.source, 'app', amd);
        const planted = plant(bench, body, mediaType);

        await assert.rejects(bench.copy('app', planted), {
          name: 'CloneError',
          code: 'SOURCE_UNSUPPORTED',
          message: `${bench.source.host}/app:1@${planted} cannot be copied: ${why}`,
        });
        nothingWritten(bench);
        assert.equal(bench.source.requests.count({ method: 'GET', kind: 'blob' }), 0);
      });
    }

    it('rejects indexes that are nested too deep', async () => {
      const bench = await open();
      const deep = [1, 2, 3, 4, 5].reduce<Image>((image) => makeIndex([image]), amd);
      seed(bench.source, 'app:1', deep);

      await assert.rejects(bench.copy('app', deep.digest), {
        code: 'SOURCE_UNSUPPORTED',
        message: /cannot be copied: its indexes are nested more than 4 deep$/,
      });
      nothingWritten(bench);
    });

    it('rejects an image with too many manifests, counting those in the backup', async () => {
      const bench = await open();
      const children = Array.from({ length: 999 }, (_, index) =>
        makeIndex([], { annotations: { n: String(index) } }),
      );
      const held = seed(bench.source, 'app:1', makeIndex(children));
      await bench.copy('app', held.digest);
      const huge = makeIndex(children, { annotations: { name: 'another' } });
      const top = makeIndex([huge, amd]);
      seed(bench.source, 'app:2', top);

      await assert.rejects(bench.copy('app', top.digest), {
        code: 'SOURCE_UNSUPPORTED',
        message: /cannot be copied: it has more than 1000 manifests$/,
      });
    });

    it('rejects a manifest larger than 4 MiB', async () => {
      const bench = await open();
      const annotations = { long: 'x'.repeat(4 * 1024 * 1024) };
      const image = seed(bench.source, 'app:1', makeImage({ annotations }));

      await assert.rejects(bench.copy('app', image.digest), {
        code: 'SOURCE_UNSUPPORTED',
        message:
          /cannot be copied: reading its manifest: the response is larger than 4194304 bytes$/,
      });
      nothingWritten(bench);
    });

    it('rejects an image whose manifests exceed 16 MiB in total, without reading more', async () => {
      const bench = await open();
      const long = 'x'.repeat(3 * 1024 * 1024);
      const children = Array.from({ length: 8 }, (_, index) =>
        makeImage({ annotations: { long, n: String(index) } }),
      );
      const huge = seed(bench.source, 'app:1', makeIndex(children));

      await assert.rejects(bench.copy('app', huge.digest), {
        code: 'SOURCE_UNSUPPORTED',
        message: /cannot be copied: its manifests are larger than 16 MiB in total$/,
      });
      nothingWritten(bench);
      const read = bench.source.requests.list({ method: 'GET', kind: 'manifest' });
      // The root and five children.
      assert.ok(read.filter(({ path }) => path.includes('sha256:')).length <= 6);
    });

    it('rejects an image larger than MAX_IMAGE_BYTES before the first blob', async () => {
      const image = makeImage({ layers: [bytes(600), bytes(401)], config: emptyConfig });
      const bench = await open({ maxImageBytes: 1_002 });
      seed(bench.source, 'app:1', image);

      await assert.rejects(bench.copy('app', image.digest), {
        code: 'SOURCE_UNSUPPORTED',
        message: `${bench.source.host}/app:1@${image.digest} cannot be copied: it has 1003 bytes, more than MAX_IMAGE_BYTES (1002)`,
      });
      nothingWritten(bench);
      assert.equal(bench.source.requests.count({ kind: 'blob' }), 0);
      assert.equal(bench.backup.requests.count({ kind: 'uploads' }), 0);
    });

    it('copies an image of exactly MAX_IMAGE_BYTES', async () => {
      const image = makeImage({ layers: [bytes(600), bytes(401)], config: emptyConfig });
      const bench = await open({ maxImageBytes: 1_003 });
      seed(bench.source, 'app:1', image);

      assert.equal((await bench.copy('app', image.digest)).bytes, 1_003);
    });
  });

  describe('copyImage of layers that may not be redistributed', () => {
    const foreign = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip';

    function plantForeign(bench: Bench, urls?: readonly string[]): string {
      const image = seed(bench.source, 'app', makeImage({ layers: [bytes(10)] }));
      const [config] = image.blobs;
      assert.ok(config !== undefined);
      const layer = { mediaType: foreign, digest: `sha256:${'2'.repeat(64)}`, size: 9, urls };
      const { digest, mediaType, size } = config;
      return plant(
        bench,
        { schemaVersion: 2, config: { digest, mediaType, size }, layers: [layer] },
        ociImage,
      );
    }

    it('skips a foreign layer that the source lacks, fetches it from nowhere else, and warns', async () => {
      const bench = await open();
      const digest = plantForeign(bench, ['http://169.254.169.254/layer']);

      const copied = await bench.copy('app', digest);

      assert.deepEqual(copied.warnings, [
        `${bench.source.host}/app:1@${digest}: 1 layers are not in the backup: their licence forbids redistribution`,
      ]);
      assert.equal(bench.backup.store.manifest('acme/app', 'last')?.digest, digest);
      assert.deepEqual(forgottenUploads(bench.backup), []);
    });

    it('reports the cause if the backup does not accept foreign layers', async () => {
      const bench = await open();
      const digest = plantForeign(bench);

      await assert.rejects(bench.copy('app', digest), {
        code: 'SOURCE_UNSUPPORTED',
        message: `${bench.source.host}/app:1@${digest} cannot be copied: it has layers that may not be redistributed (Windows), and the backup registry does not accept them`,
      });
      assert.deepEqual(bench.backup.store.tags('acme/app'), []);
    });

    it('says that the backup does not accept layers with URLs, if it rejects an ordinary one', async () => {
      const bench = await open();
      const image = seed(bench.source, 'app', makeImage({ layers: [bytes(10)] }));
      const [config, layer] = image.blobs.map(({ digest, mediaType, size }) => ({
        digest,
        mediaType,
        size,
      }));
      const urls = ['https://cdn.example.com/layer'];
      const manifest = { schemaVersion: 2, config, layers: [{ ...layer, urls }] };
      const digest = plant(bench, manifest, ociImage);
      useMode(bench.backup, 'distribution');

      await assert.rejects(bench.copy('app', digest), {
        code: 'SOURCE_UNSUPPORTED',
        message: `${bench.source.host}/app:1@${digest} cannot be copied: it has layers with URLs of their own (urls), which the backup registry does not accept`,
      });
    });

    it('copies foreign layers that the source has', async () => {
      const bench = await open();
      const image = makeImage({ layers: [bytes(10)], layerMediaType: foreign });
      seed(bench.source, 'app:1', image);

      const copied = await bench.copy('app', image.digest);

      assert.deepEqual(copied.warnings, []);
      assert.deepEqual(walk(bench.backup, 'acme/app', 'last'), walk(bench.source, 'app', '1'));
    });
  });

  it('copies images of any shape completely or reports an error, whatever faults occur', async () => {
    const leaf = fc
      .record({
        layers: fc.array(fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constant(shared)), {
          maxLength: 4,
        }),
        mediaTypes: fc.constantFrom('oci' as const, 'docker' as const),
        platform: fc.constantFrom('linux/amd64', 'linux/arm/v7', 'unknown/unknown'),
        annotations: fc.dictionary(fc.string({ maxLength: 5 }), fc.string({ maxLength: 5 }), {
          maxKeys: 2,
        }),
      })
      .map(({ layers, ...rest }) =>
        makeImage({ ...rest, layers: layers.map((layer) => Uint8Array.from(layer)) }),
      );
    const { image } = fc.letrec<{ image: Image; index: Image }>((tie) => ({
      image: fc.oneof({ maxDepth: 3, depthIdentifier: 'image' }, leaf, tie('index')),
      index: fc
        .record({
          children: fc.array(tie('image'), { maxLength: 4, depthIdentifier: 'image' }),
          mediaTypes: fc.constantFrom('oci' as const, 'docker' as const),
          attestations: fc.boolean(),
        })
        .map(({ children, ...rest }) => makeIndex(children, rest)),
    }));
    const faults = fc.array(
      fc.record({
        side: fc.constantFrom('source' as const, 'backup' as const),
        what: fc.constantFrom(
          ['GET', 'manifest'] as const,
          ['GET', 'blob'] as const,
          ['HEAD', 'blob'] as const,
          ['POST', 'uploads'] as const,
          ['PUT', 'upload'] as const,
          ['PUT', 'manifest'] as const,
        ),
        status: fc.constantFrom(400, 403, 404, 429, 500, 503),
        after: fc.integer({ min: 0, max: 6 }),
        times: fc.integer({ min: 1, max: 8 }),
      }),
      { maxLength: 3 },
    );
    const bench = await open();
    let run = 0;

    await fc.assert(
      fc.asyncProperty(image, faults, async (image, faults) => {
        run += 1;
        const path = `app${run}`;
        seed(bench.source, `${path}:1`, image);
        for (const { side, what, status, after, times } of faults) {
          let seen = 0;
          const match = on(what[0], what[1]);
          bench[side].faults.add(
            (request) => match(request) && (seen += 1) > after,
            answer(status),
            { times },
          );
        }

        const copied = await bench.copy(path, image.digest).catch((error: unknown) => error);

        bench.source.faults.clear();
        bench.backup.faults.clear();
        assert.deepEqual(forgottenUploads(bench.backup), []);
        for (const tag of bench.backup.store.tags(`acme/${path}`)) {
          assert.deepEqual(walk(bench.backup, `acme/${path}`, tag), walk(bench.source, path, '1'));
        }
        if (copied instanceof Error) {
          assert.ok(copied instanceof CloneError, String(copied));
          assert.ok(faults.length > 0);
        } else {
          assert.ok(bench.backup.store.tags(`acme/${path}`).includes('last'));
        }
      }),
      propertyRuns(150),
    );
  });
});
