import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { selectPlatforms } from '../../../../lib/adapters/registry/platforms/select-platforms.ts';
import { digestOf } from '../../../../lib/image/digest.ts';

const ociIndex = 'application/vnd.oci.image.index.v1+json';
const ociManifest = 'application/vnd.oci.image.manifest.v1+json';
const dockerList = 'application/vnd.docker.distribution.manifest.list.v2+json';
const dockerManifest = 'application/vnd.docker.distribution.manifest.v2+json';

function hex(digit: string): string {
  return `sha256:${digit.repeat(64)}`;
}

function toManifest(text: string, mediaType = ociIndex) {
  const bytes = new TextEncoder().encode(text);
  return { bytes, mediaType, digest: digestOf(bytes) };
}

function toText(manifest: { readonly bytes: Uint8Array } | undefined): string | undefined {
  return manifest && new TextDecoder().decode(manifest.bytes);
}

/** As buildkit writes it, with fields that no one here knows, and whitespace. */
const golden = toManifest(`{
  "schemaVersion": 2,
  "mediaType": "${ociIndex}",
  "unknown": {"b": [1, 2.5, null], "a": "ä\\u00e4"},
  "manifests": [
    {"mediaType": "${ociManifest}", "digest": "${hex('a')}", "size": 1111, "platform": {"architecture": "amd64", "os": "linux"}, "unknown": true},
    {"digest": "${hex('b')}", "size": 2222, "platform": {"architecture": "arm64", "os": "linux", "variant": "v8"}, "mediaType": "${ociManifest}"},
    {"mediaType": "${ociManifest}", "digest": "${hex('c')}", "size": 3333, "platform": {"architecture": "arm", "os": "linux", "variant": "v7"}},
    {"mediaType": "${ociManifest}", "digest": "${hex('d')}", "size": 4444, "annotations": {"vnd.docker.reference.digest": "${hex('a')}", "vnd.docker.reference.type": "attestation-manifest"}, "platform": {"architecture": "unknown", "os": "unknown"}},
    {"mediaType": "${ociManifest}", "digest": "${hex('e')}", "size": 5555, "annotations": {"vnd.docker.reference.digest": "${hex('c')}", "vnd.docker.reference.type": "attestation-manifest"}, "platform": {"architecture": "unknown", "os": "unknown"}}
  ],
  "annotations": {"org.opencontainers.image.version": "1.27"}
}
`);

const goldenSelected = `{"schemaVersion":2,"mediaType":"${ociIndex}","unknown":{"b":[1,2.5,null],"a":"ää"},"manifests":[{"mediaType":"${ociManifest}","digest":"${hex('a')}","size":1111,"platform":{"architecture":"amd64","os":"linux"},"unknown":true},{"digest":"${hex('b')}","size":2222,"platform":{"architecture":"arm64","os":"linux","variant":"v8"},"mediaType":"${ociManifest}"},{"mediaType":"${ociManifest}","digest":"${hex('d')}","size":4444,"annotations":{"vnd.docker.reference.digest":"${hex('a')}","vnd.docker.reference.type":"attestation-manifest"},"platform":{"architecture":"unknown","os":"unknown"}}],"annotations":{"org.opencontainers.image.version":"1.27"}}`;

interface Row {
  readonly digest: string;
  readonly platform?: object;
  readonly annotations?: object;
}

function attestationOf(digest: string): object {
  return {
    'vnd.docker.reference.digest': digest,
    'vnd.docker.reference.type': 'attestation-manifest',
  };
}

function toIndex(rows: readonly Row[], mediaType = ociIndex, childType = ociManifest) {
  const manifests = rows.map((row) => ({ mediaType: childType, size: 100, ...row }));
  return toManifest(JSON.stringify({ schemaVersion: 2, mediaType, manifests }), mediaType);
}

/** The digits of the digests that are left. */
function left(manifest: { readonly bytes: Uint8Array } | undefined): string {
  return [...(toText(manifest) ?? '').matchAll(/"digest":"sha256:(.)/g)].map(([, d]) => d).join('');
}

describe('selectPlatforms', () => {
  it('writes the index of two platforms byte for byte, with their attestations and all other fields', () => {
    const { manifest } = selectPlatforms(golden, ['linux/amd64', 'linux/arm64/v8']);

    assert.equal(toText(manifest), goldenSelected);
    assert.equal(manifest?.mediaType, ociIndex);
    assert.equal(
      manifest?.digest,
      'sha256:2b87f084d5698fdc70edeb8c1fe145864e71513924b7759eba7d042498cb6418',
    );
  });

  it('writes the same bytes from its own result', () => {
    const once = selectPlatforms(golden, ['linux/amd64', 'linux/arm64/v8']).manifest;
    assert(once !== undefined);

    const twice = selectPlatforms(once, ['linux/amd64', 'linux/arm64/v8']).manifest;

    assert.equal(twice, once);
  });

  it('keeps the bytes of an index that loses nothing', () => {
    const platforms = ['linux/amd64', 'linux/arm', 'linux/arm64', 'linux/s390x'];

    assert.equal(selectPlatforms(golden, platforms).manifest, golden);
  });

  const arms = toIndex([
    { digest: hex('1'), platform: { os: 'linux', architecture: 'arm', variant: 'v5' } },
    { digest: hex('2'), platform: { os: 'linux', architecture: 'arm', variant: 'v7' } },
    { digest: hex('3'), platform: { os: 'linux', architecture: 'arm64' } },
    { digest: hex('4'), platform: { os: 'linux', architecture: 'amd64', variant: 'v3' } },
    { digest: hex('5'), platform: { os: 'Linux', architecture: 'AMD64' } },
    { digest: hex('6'), platform: { os: 'windows', architecture: 'amd64', 'os.version': '10.0' } },
    { digest: hex('7'), platform: { os: 'linux', architecture: 'arm' } },
  ]);
  const variants = [
    { platforms: ['linux/arm'], expected: '127', what: 'every variant for no variant' },
    { platforms: ['linux/arm/v7'], expected: '27', what: 'v7 for arm without a variant' },
    { platforms: ['linux/arm64/v8'], expected: '3', what: 'v8 for arm64 without a variant' },
    { platforms: ['linux/amd64/v3'], expected: '4', what: 'one variant of amd64' },
    { platforms: ['linux/amd64/v1'], expected: '5', what: 'v1 for amd64 without a variant' },
    { platforms: ['windows/amd64'], expected: '6', what: 'every version of an operating system' },
  ];
  for (const { platforms, expected, what } of variants) {
    it(`selects ${what}`, () => {
      assert.equal(left(selectPlatforms(arms, platforms).manifest), expected);
    });
  }

  it('selects from a docker manifest list', () => {
    const list = toIndex(
      [
        { digest: hex('1'), platform: { architecture: 'amd64', os: 'linux' } },
        { digest: hex('2'), platform: { architecture: 'arm', os: 'linux', variant: 'v6' } },
      ],
      dockerList,
      dockerManifest,
    );

    const { manifest } = selectPlatforms(list, ['linux/amd64']);

    assert.equal(
      toText(manifest),
      `{"schemaVersion":2,"mediaType":"${dockerList}","manifests":[{"mediaType":"${dockerManifest}","size":100,"digest":"${hex('1')}","platform":{"architecture":"amd64","os":"linux"}}]}`,
    );
    assert.equal(manifest?.mediaType, dockerList);
  });

  const amd64 = { digest: hex('1'), platform: { os: 'linux', architecture: 'amd64' } };
  const arm64 = { digest: hex('2'), platform: { os: 'linux', architecture: 'arm64' } };
  const unknown = { os: 'unknown', architecture: 'unknown' };
  const kept: readonly { readonly what: string; readonly row: Row; readonly expected: string }[] = [
    { what: 'an entry without a platform', row: { digest: hex('3') }, expected: '13' },
    {
      what: 'an entry whose platform cannot be read',
      row: { digest: hex('3'), platform: { os: 'linux', architecture: 7 } },
      expected: '13',
    },
    {
      what: 'no attestation without a subject',
      row: {
        digest: hex('3'),
        platform: unknown,
        annotations: { 'vnd.docker.reference.type': 'attestation-manifest' },
      },
      expected: '1',
    },
    {
      what: 'no attestation of an image that is not in the index',
      row: { digest: hex('3'), platform: unknown, annotations: attestationOf(hex('9')) },
      expected: '1',
    },
    {
      what: 'no entry of another platform with the digest of a selected one',
      row: { digest: hex('1'), platform: { os: 'linux', architecture: 's390x' } },
      expected: '1',
    },
    {
      what: 'no other entry of an unknown platform',
      row: { digest: hex('3'), platform: unknown },
      expected: '1',
    },
  ];
  for (const { what, row, expected } of kept) {
    it(`keeps ${what}`, () => {
      const index = toIndex([amd64, arm64, row]);

      assert.equal(left(selectPlatforms(index, ['linux/amd64']).manifest), expected);
    });
  }

  it('names the platforms of an index that has none of the listed ones', () => {
    const index = toIndex([
      amd64,
      arm64,
      { digest: hex('3'), platform: unknown, annotations: attestationOf(hex('1')) },
      { digest: hex('4') },
    ]);

    assert.deepEqual(selectPlatforms(index, ['linux/s390x']), {
      platforms: ['linux/amd64', 'linux/arm64'],
    });
  });

  it('keeps an index that names no platform', () => {
    const index = toIndex([{ digest: hex('1') }, { digest: hex('2'), platform: unknown }]);

    assert.equal(left(selectPlatforms(index, ['linux/amd64']).manifest), '1');
  });

  it('replaces a nested index by its selection, and leaves out one without any of the platforms', () => {
    const inner = toIndex([amd64, arm64]);
    const foreign = toIndex([arm64]);
    const outer = toManifest(
      JSON.stringify({
        schemaVersion: 2,
        manifests: [
          { digest: inner.digest, size: inner.bytes.length, mediaType: ociIndex },
          { digest: foreign.digest, size: foreign.bytes.length, mediaType: ociIndex },
        ],
      }),
    );
    const platforms = ['linux/amd64'];
    const nested = new Map([
      [inner.digest, selectPlatforms(inner, platforms)],
      [foreign.digest, selectPlatforms(foreign, platforms)],
    ]);

    const { manifest } = selectPlatforms(outer, platforms, nested);

    const selected = nested.get(inner.digest)?.manifest;
    assert.equal(left(selected), '1');
    assert.equal(
      toText(manifest),
      `{"schemaVersion":2,"manifests":[{"digest":"${selected?.digest}","size":${selected?.bytes.length},"mediaType":"${ociIndex}"}]}`,
    );
  });
});
