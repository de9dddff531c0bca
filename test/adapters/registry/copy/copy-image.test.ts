import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
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
} from '../../../../lib/memory-registry/index.ts';
import { type Bench, forgottenUploads, openBench, walk } from '../bench.ts';

const ociIndex = 'application/vnd.oci.image.index.v1+json';
const ociImage = 'application/vnd.oci.image.manifest.v1+json';

let bench: Bench | undefined;
async function open(...options: Parameters<typeof openBench>): Promise<Bench> {
  bench = await openBench(...options);
  return bench;
}
afterEach(async () => {
  await bench?.close();
  bench = undefined;
});

/** Bytes of any length that do not compress. */
function bytes(length: number, fill = 7): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, index) => (index * 31 + fill) % 251);
}

/** Puts a manifest of any kind into the source, without checks. */
function plant({ source }: Bench, body: object, mediaType: string): string {
  const encoded = new TextEncoder().encode(JSON.stringify(body));
  return source.store.putManifest('app', { mediaType, bytes: Uint8Array.from(encoded) }, '1')
    .digest;
}

/** distribution 2.8 on a file system, when two of us write at once. */
const halfWritten = answer(400, {
  body: '{"errors":[{"code":"DIGEST_INVALID","message":"provided digest did not match uploaded content"}]}',
});

function nothingWritten({ backup }: Bench): void {
  assert.deepEqual(backup.store.tags('acme/app'), []);
  assert.deepEqual(backup.store.manifests('acme/app'), []);
  assert.deepEqual(forgottenUploads(backup), []);
}

describe('copyImage', () => {
  it('asks again for manifests whose connection was cut', async () => {
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

  it('writes a manifest again where another writer was in the way', async () => {
    const bench = await open();
    const image = seed(bench.source, 'app:1', makeImage());
    const met = bench.backup.faults.add(on('PUT', 'manifest'), halfWritten, { times: 2 });

    await bench.copy('app', image.digest);

    assert.equal(met.hits(), 2);
    assert.deepEqual(walk(bench.backup, 'acme/app', 'last'), walk(bench.source, 'app', '1'));
  });

  it('gives no tag to a manifest that the backup says it has written, and cannot read', async () => {
    const bench = await open();
    const image = seed(bench.source, 'app:1', makeIndex([makeImage()]));
    // distribution 2.8 whose disk was full: an empty file passes for the manifest from then on.
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
    it(`brings ${what}, byte by byte`, async () => {
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

  it('uploads one layer that stands in an image three times once, and each blob with its length', async () => {
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

  it('writes children before parents and tags last', async () => {
    const bench = await open();
    const inner = makeIndex([amd]);
    const image = seed(bench.source, 'app:1', makeIndex([inner, arm]));

    await bench.copy('app', image.digest);

    const written = bench.backup.requests
      .list({ method: 'PUT', kind: 'manifest' })
      .map(({ path }) => path.replace('/v2/acme/app/manifests/', ''));
    assert.deepEqual(written, [
      amd.digest,
      inner.digest,
      arm.digest,
      image.digest,
      'first',
      'last',
    ]);
  });

  it('moves no byte that the backup holds already', async () => {
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

  it('brings what the backup has lost below a part that it still has', async () => {
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

  it('brings also what is removed from the backup while it copies', async () => {
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

  it('uploads only the layers that are missing', async () => {
    const bench = await open();
    const base = seed(bench.source, 'app:1', makeImage({ layers: [shared] }));
    await bench.copy('app', base.digest);
    const next = seed(bench.source, 'app:2', makeImage({ layers: [shared, bytes(77)] }));

    const copied = await bench.copy('app', next.digest);

    assert.equal(copied.bytes, 77 + (next.blobs[0]?.size ?? 0));
  });

  it('copies the image that was resolved, though its tag has moved', async () => {
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

  it('reports progress up to the whole size, without ever going beyond it', async () => {
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

  it('uploads every blob once when two copies of one image run at once', async () => {
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

  it('has no more than three blobs of one image under way', async () => {
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

  describe('within one registry', () => {
    const within = (bench: Bench, path = 'acme/app'): object => ({
      target: { domain: bench.source.host, path },
    });

    it('mounts every blob', async () => {
      const bench = await open();
      const image = seed(bench.source, 'app:1', makeIndex([amd, arm]));

      const copied = await bench.copy('app', image.digest, within(bench));

      assert.equal(copied.bytes, 0);
      assert.equal(bench.source.requests.count({ method: 'GET', kind: 'blob' }), 0);
      assert.equal(bench.source.requests.count({ method: 'PUT', kind: 'upload' }), 0);
      assert.deepEqual(walk(bench.source, 'acme/app', 'last'), walk(bench.source, 'app', '1'));
    });

    for (const status of [undefined, 400, 403, 405, 500]) {
      it(`copies where a mount is refused with ${status ?? 'an upload session'}`, async () => {
        const bench = await open();
        bench.source.faults.add(on('POST', 'uploads'), refuseMount(status));
        const image = seed(bench.source, 'app:1', makeImage({ layers: [shared] }));

        const copied = await bench.copy('app', image.digest, within(bench));

        assert.ok(copied.bytes > 5_000);
        assert.deepEqual(walk(bench.source, 'acme/app', 'last'), walk(bench.source, 'app', '1'));
        assert.deepEqual(forgottenUploads(bench.source), []);
      });
    }

    it('copies where a mount is said to have been made, and was not', async () => {
      const bench = await open();
      const image = seed(bench.source, 'app:1', amd);
      bench.source.faults.add(({ path }) => path.includes('mount='), answer(201, { body: '' }));

      await bench.copy('app', image.digest, within(bench));

      assert.deepEqual(walk(bench.source, 'acme/app', 'last'), walk(bench.source, 'app', '1'));
    });

    it('gives what a repository holds one tag more', async () => {
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

  describe('of what cannot be copied', () => {
    const digest = `sha256:${'1'.repeat(64)}`;
    const layer = { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest, size: 5 };

    const broken: readonly (readonly [string, object, string, string])[] = [
      [
        'a part that is missing',
        { schemaVersion: 2, manifests: [{ mediaType: ociImage, digest, size: 5 }] },
        ociIndex,
        `it is incomplete: its registry does not have its part ${digest}`,
      ],
      [
        'a part that is no manifest',
        { schemaVersion: 2, manifests: [{ ...layer }] },
        ociIndex,
        `its part ${digest} has the media type "application/vnd.oci.image.layer.v1.tar+gzip", which is not that of an image`,
      ],
      [
        'a part that is longer than the index says',
        { schemaVersion: 2, manifests: [{ ...amd.descriptor, size: amd.descriptor.size - 1 }] },
        ociIndex,
        `the length of its part ${amd.digest} differs from the index`,
      ],
      [
        'one layer with two sizes',
        { schemaVersion: 2, config: layer, layers: [{ ...layer, size: 6 }] },
        ociImage,
        `it lists ${digest} with two different sizes`,
      ],
      [
        'an empty layer with the digest of another',
        { schemaVersion: 2, config: { ...layer, size: 0 }, layers: [] },
        ociImage,
        `it lists ${digest} as empty, and the digest is that of other content`,
      ],
    ];
    for (const [what, body, mediaType, why] of broken) {
      it(`says that it has ${what}, and writes nothing`, async () => {
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

    it('says that indexes are nested too deep', async () => {
      const bench = await open();
      const deep = [1, 2, 3, 4, 5].reduce<Image>((image) => makeIndex([image]), amd);
      seed(bench.source, 'app:1', deep);

      await assert.rejects(bench.copy('app', deep.digest), {
        code: 'SOURCE_UNSUPPORTED',
        message: /cannot be copied: its indexes are nested more than 4 deep$/,
      });
      nothingWritten(bench);
    });

    it('says that there are too many manifests, those in the backup included', async () => {
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

    it('says that a manifest is larger than 4 MiB', async () => {
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

    it('says that its manifests are larger than 16 MiB together, having read no more', async () => {
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
      assert.equal(bench.source.requests.count({ method: 'GET', kind: 'manifest' }), 7);
    });

    it('says before the first blob that an image is larger than MAX_IMAGE_BYTES', async () => {
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

  describe('of layers that may not be redistributed', () => {
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

    it('leaves them out where the source has none, fetches nothing elsewhere, and says so', async () => {
      const bench = await open();
      const digest = plantForeign(bench, ['http://169.254.169.254/layer']);

      const copied = await bench.copy('app', digest);

      assert.deepEqual(copied.warnings, [
        `${bench.source.host}/app:1@${digest}: 1 layers are not in the backup: their licence forbids redistribution`,
      ]);
      assert.equal(bench.backup.store.manifest('acme/app', 'last')?.digest, digest);
      assert.deepEqual(forgottenUploads(bench.backup), []);
    });

    it('says why where the backup takes no such image', async () => {
      const bench = await open();
      const digest = plantForeign(bench);

      await assert.rejects(bench.copy('app', digest), {
        code: 'SOURCE_UNSUPPORTED',
        message: `${bench.source.host}/app:1@${digest} cannot be copied: it has layers that may not be redistributed (Windows), and the backup registry does not accept them`,
      });
      assert.deepEqual(bench.backup.store.tags('acme/app'), []);
    });

    it('brings them where the source has them', async () => {
      const bench = await open();
      const image = makeImage({ layers: [bytes(10)], layerMediaType: foreign });
      seed(bench.source, 'app:1', image);

      const copied = await bench.copy('app', image.digest);

      assert.deepEqual(copied.warnings, []);
      assert.deepEqual(walk(bench.backup, 'acme/app', 'last'), walk(bench.source, 'app', '1'));
    });
  });

  it('brings any image whole', async () => {
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
      { numRuns: 150 },
    );
  });
});
