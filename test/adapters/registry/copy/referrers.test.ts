import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  answer,
  cutBody,
  emptyConfig,
  type Image,
  makeImage,
  makeIndex,
  makeReferrer,
  makeSignature,
  on,
  referrersTag,
  seed,
} from '../../../../lib/memory-registry/index.ts';
import { type Bench, useBench, walk } from '../bench.ts';

const open = useBench();

const image = makeIndex([makeImage()]);
const artifactType = 'application/vnd.example.sbom';
const sbom = makeReferrer(image, { artifactType, annotations: { kind: 'sbom' } });
const bundle = makeReferrer(image, { artifactType: 'application/vnd.dev.sigstore.bundle' });

/** Lists `images` in an index under OCI's fallback tag. */
function tagReferrers({ source }: Bench, images: readonly Image[]): void {
  for (const each of images) seed(source, 'app', each);
  seed(source, `app:${referrersTag(image.digest)}`, makeIndex(images));
}

function warning({ source }: Bench): string {
  return `${source.host}/app:1@${image.digest}: the image was copied, its signatures were not`;
}

describe('copyReferrers', () => {
  it("copies the tags of cosign's signatures, attestations and SBOMs", async () => {
    const bench = await open();
    seed(bench.source, 'app:1', image);
    const { tag, image: signature } = makeSignature(image);
    const attestation = makeImage({ seed: 'att', config: emptyConfig });
    seed(bench.source, `app:${tag}`, signature);
    seed(bench.source, `app:${referrersTag(image.digest)}.att`, attestation);
    seed(bench.source, `app:${referrersTag(image.digest)}.sbom`, attestation);

    const copied = await bench.copy('app', image.digest);

    assert.deepEqual(copied.warnings, []);
    for (const suffix of ['sig', 'att', 'sbom']) {
      const tag = `${referrersTag(image.digest)}.${suffix}`;
      assert.deepEqual(walk(bench.backup, 'acme/app', tag), walk(bench.source, 'app', tag));
    }
  });

  for (const [what, ofSource, ofBackup] of [
    ['both registries have', true, true],
    ['only the source has', true, false],
    ['only the backup has', false, true],
    ['neither registry has', false, false],
  ] as const) {
    it(`copies referrers if ${what} the referrers API`, async () => {
      const bench = await open({
        source: { referrers: ofSource },
        backup: { referrers: ofBackup },
      });
      seed(bench.source, 'app:1', image);
      if (ofSource) for (const each of [sbom, bundle]) seed(bench.source, 'app', each);
      else tagReferrers(bench, [sbom, bundle]);

      const copied = await bench.copy('app', image.digest);

      assert.deepEqual(copied.warnings, []);
      for (const { digest } of [sbom, bundle]) {
        assert.deepEqual(walk(bench.backup, 'acme/app', digest), walk(bench.source, 'app', digest));
      }
      const fallback = bench.backup.store.manifest('acme/app', referrersTag(image.digest));
      if (ofBackup) assert.equal(fallback, undefined);
      else assert.deepEqual(fallback?.content.children, [sbom.digest, bundle.digest]);
    });
  }

  it('keeps the descriptors in the fallback tag of the backup with all their fields', async () => {
    const bench = await open({ source: { referrers: false }, backup: { referrers: false } });
    seed(bench.source, 'app:1', image);
    tagReferrers(bench, [sbom]);
    await bench.copy('app', image.digest);
    tagReferrers(bench, [bundle]);

    await bench.copy('app', image.digest);
    await bench.copy('app', image.digest);

    const index = bench.backup.store.manifest('acme/app', referrersTag(image.digest));
    assert.deepEqual(JSON.parse(Buffer.from(index?.bytes ?? []).toString()), {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: [sbom, bundle].map(({ descriptor }) => descriptor),
    });
  });

  it('lists only copied referrers in the fallback tag', async () => {
    const bench = await open({ source: { referrers: false }, backup: { referrers: false } });
    seed(bench.source, 'app:1', image);
    tagReferrers(bench, [sbom, bundle]);
    bench.source.store.deleteManifest('app', bundle.digest);

    const copied = await bench.copy('app', image.digest);

    assert.deepEqual(copied.warnings, []);
    const fallback = bench.backup.store.manifest('acme/app', referrersTag(image.digest));
    assert.deepEqual(fallback?.content.children, [sbom.digest]);
  });

  it('does not warn about an image without referrers', async () => {
    const bench = await open({ source: { referrers: false } });
    seed(bench.source, 'app:1', image);

    assert.deepEqual((await bench.copy('app', image.digest)).warnings, []);
  });

  for (const status of [204, 400, 403, 404, 405, 501]) {
    it(`does not warn if the referrers API answers ${status}`, async () => {
      const bench = await open();
      seed(bench.source, 'app:1', image);
      bench.source.faults.add(on('GET', 'referrers'), answer(status));

      assert.deepEqual((await bench.copy('app', image.digest)).warnings, []);
    });
  }

  const indexHeaders = { 'content-type': 'application/vnd.oci.image.index.v1+json' };
  for (const [what, response] of [
    ['an empty list', { headers: indexHeaders, body: '{"schemaVersion":2,"manifests":[]}' }],
    ['a null list', { headers: indexHeaders, body: '{"schemaVersion":2,"manifests":null}' }],
    ['a web page', { headers: { 'content-type': 'text/html' }, body: '<html>' }],
    ['another content type', { headers: { 'content-type': 'application/json' }, body: '{}' }],
    ['no content type', { body: '{}' }],
  ] as const) {
    it(`does not warn if the referrers API answers with ${what}`, async () => {
      const bench = await open();
      seed(bench.source, 'app:1', image);
      bench.source.faults.add(on('GET', 'referrers'), answer(200, response));

      assert.deepEqual((await bench.copy('app', image.digest)).warnings, []);
    });
  }

  it('does not warn if the registry answers 403 for an absent referrers tag (Artifactory)', async () => {
    const bench = await open();
    seed(bench.source, 'app:1', image);
    bench.source.faults.add(({ path }) => path.includes('/manifests/sha256-'), answer(403));

    assert.deepEqual((await bench.copy('app', image.digest)).warnings, []);
  });

  const failures = [
    ['the API is down', 'source', on('GET', 'referrers'), answer(503)],
    [
      'a tag cannot be read',
      'source',
      ({ path }: { path: string }) => path.endsWith('.sig'),
      answer(500),
    ],
    [
      'a layer cannot be read',
      'source',
      ({ path, method }: { path: string; method: string }) =>
        method === 'GET' && path.endsWith(sbom.blobs[1]?.digest ?? '?'),
      cutBody(1),
    ],
    [
      'the backup does not accept it',
      'backup',
      ({ path, method }: { path: string; method: string }) =>
        method === 'PUT' && path.endsWith(sbom.digest),
      answer(400),
    ],
  ] as const;
  for (const [what, side, match, fault] of failures) {
    it(`warns that referrers are missing, and keeps the image, if ${what}`, async () => {
      const bench = await open();
      seed(bench.source, 'app:1', image);
      seed(bench.source, 'app', sbom);
      bench[side].faults.add(match, fault);

      const copied = await bench.copy('app', image.digest);

      assert.deepEqual(copied.warnings, [warning(bench)]);
      assert.deepEqual(walk(bench.backup, 'acme/app', 'last'), walk(bench.source, 'app', '1'));
    });
  }

  const hostile: readonly (readonly [string, object])[] = [
    ['a digest that is a path', { schemaVersion: 2, manifests: [{ digest: '../../x', size: 1 }] }],
    [
      'too many entries',
      { schemaVersion: 2, manifests: Array.from({ length: 101 }, () => sbom.descriptor) },
    ],
  ];
  for (const [what, index] of hostile) {
    it(`warns that referrers are missing, and keeps the image, if their list has ${what}`, async () => {
      const bench = await open();
      seed(bench.source, 'app:1', image);
      seed(bench.source, 'app', sbom);
      const headers = { 'content-type': 'application/vnd.oci.image.index.v1+json' };
      bench.source.faults.add(
        on('GET', 'referrers'),
        answer(200, { headers, body: JSON.stringify(index) }),
      );

      assert.deepEqual((await bench.copy('app', image.digest)).warnings, [warning(bench)]);
      assert.ok(bench.source.requests.list().every(({ path }) => !path.includes('..')));
    });
  }

  it('does not copy an index as a referrer', async () => {
    const bench = await open();
    seed(bench.source, 'app:1', image);
    seed(bench.source, 'app:other', makeIndex([makeImage({ seed: 'other' })]));
    const other = bench.source.store.manifest('app', 'other');
    assert.ok(other !== undefined);
    const listed = { digest: other.digest, mediaType: other.mediaType, size: other.bytes.length };
    const headers = { 'content-type': 'application/vnd.oci.image.index.v1+json' };
    const body = JSON.stringify({ schemaVersion: 2, manifests: [listed] });
    bench.source.faults.add(on('GET', 'referrers'), answer(200, { headers, body }));

    await bench.copy('app', image.digest);

    assert.equal(bench.backup.store.manifest('acme/app', other.digest), undefined);
  });

  it('writes the tags of the image before it reads referrers', async () => {
    const bench = await open();
    seed(bench.source, 'app:1', image);
    seed(bench.source, 'app', sbom);

    await bench.copy('app', image.digest);

    const puts = bench.backup.requests
      .list({ method: 'PUT', kind: 'manifest' })
      .map(({ path }) => path);
    assert.ok(
      puts.indexOf('/v2/acme/app/manifests/last') <
        puts.indexOf(`/v2/acme/app/manifests/${sbom.digest}`),
    );
  });

  it('copies no referrers when source and target are the backup', async () => {
    const bench = await open();
    seed(bench.source, 'app:1', image);

    await bench.copy('app', image.digest, { sourceAccess: { side: 'backup' } });

    assert.equal(bench.source.requests.count({ kind: 'referrers' }), 0);
  });
});
