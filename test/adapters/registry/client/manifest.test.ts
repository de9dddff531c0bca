import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  assertNotSchema1,
  isIndexType,
  parseManifest,
} from '../../../../lib/adapters/registry/client/manifest.ts';
import { digestOf } from '../../../../lib/image/digest.ts';

const oci = {
  index: 'application/vnd.oci.image.index.v1+json',
  image: 'application/vnd.oci.image.manifest.v1+json',
};
const docker = {
  index: 'application/vnd.docker.distribution.manifest.list.v2+json',
  image: 'application/vnd.docker.distribution.manifest.v2+json',
};
const digest = `sha256:${'a'.repeat(64)}`;
const other = `sha512:${'b'.repeat(128)}`;
const config = { mediaType: 'application/vnd.oci.image.config.v1+json', digest, size: 2 };
const layer = { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest: other, size: 7 };

function bytesOf(body: unknown): Uint8Array {
  return new TextEncoder().encode(typeof body === 'string' ? body : JSON.stringify(body));
}

describe('parseManifest', () => {
  for (const [what, { index, image }] of Object.entries({ oci, docker })) {
    it(`parses an image in the ${what} format`, () => {
      const body = { schemaVersion: 2, mediaType: image, config, layers: [layer] };

      assert.deepEqual(parseManifest(bytesOf(body), image), {
        kind: 'image',
        config,
        layers: [{ ...layer, isForeign: false }],
      });
    });

    it(`parses an index in the ${what} format`, () => {
      const child = { mediaType: image, digest, size: 100 };
      const body = {
        schemaVersion: 2,
        mediaType: index,
        manifests: [{ ...child, platform: { os: 'linux' }, annotations: { a: 'b' } }],
      };

      assert.deepEqual(parseManifest(bytesOf(body), index), { kind: 'index', manifests: [child] });
    });
  }

  it('parses a manifest without a media type in its body', () => {
    const manifest = parseManifest(bytesOf({ schemaVersion: 2, config, layers: [] }), oci.image);

    assert.deepEqual(manifest, { kind: 'image', config, layers: [] });
  });

  it('parses a manifest whose layers are null as one without layers', () => {
    const manifest = parseManifest(bytesOf({ schemaVersion: 2, config, layers: null }), oci.image);

    assert.deepEqual(manifest, { kind: 'image', config, layers: [] });
  });

  it('parses a manifest with a layer of 12 GiB, and one of 0 bytes', () => {
    const layers = [
      { ...layer, size: 12_884_901_888 },
      { ...layer, size: 0 },
    ];
    const manifest = parseManifest(bytesOf({ schemaVersion: 2, config, layers }), oci.image);

    assert.deepEqual(
      manifest.kind === 'image' && manifest.layers.map(({ size }) => size),
      [12_884_901_888, 0],
    );
  });

  const foreignTypes = [
    'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
    'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
  ];
  for (const mediaType of foreignTypes) {
    it(`recognises ${mediaType} as a layer that may not be redistributed`, () => {
      const body = { schemaVersion: 2, config, layers: [{ ...layer, mediaType }] };
      const manifest = parseManifest(bytesOf(body), oci.image);

      assert.equal(manifest.kind === 'image' && manifest.layers[0]?.isForeign, true);
    });
  }

  const urls: readonly (readonly [urls: unknown, hasUrls: boolean | undefined])[] = [
    [['https://layers.test/a'], true],
    [[], undefined],
    [null, undefined],
    [undefined, undefined],
    ['https://layers.test/a', undefined],
  ];
  for (const [value, hasUrls] of urls) {
    it(`reads ${hasUrls === true ? 'the' : 'no'} URLs of an ordinary layer from urls: ${JSON.stringify(value)}`, () => {
      const body = { schemaVersion: 2, config, layers: [{ ...layer, urls: value }] };
      const manifest = parseManifest(bytesOf(body), oci.image);

      assert.deepEqual(manifest.kind === 'image' && manifest.layers, [
        { ...layer, isForeign: false, ...(hasUrls === true && { hasUrls }) },
      ]);
    });
  }

  const image = { schemaVersion: 2, config, layers: [layer] };
  const index = { schemaVersion: 2, manifests: [config] };
  const many = Array.from({ length: 5_000 }, () => layer);
  const refused: readonly (readonly [string, unknown, string, string])[] = [
    ['text that is not JSON', 'nope', oci.image, 'its manifest is not JSON'],
    ['an empty body', '', oci.image, 'its manifest is not JSON'],
    ['a list', '[]', oci.image, 'its manifest is invalid: schemaVersion is missing'],
    ['null', 'null', oci.image, 'its manifest is invalid: it is not an object'],
    ['HTML', image, 'text/html', 'its media type "text/html" is not that of an image'],
    ['a missing type', image, '', 'its media type "" is not that of an image'],
    [
      'a long type',
      image,
      `x/${'y'.repeat(9_000)}`,
      `its media type "x/${'y'.repeat(98)}" is not that of an image`,
    ],
    [
      'schema 1',
      { schemaVersion: 1, fsLayers: [] },
      'application/vnd.docker.distribution.manifest.v1+prettyjws',
      'its manifest has the schema 1 format, which nodes no longer run; push it again with a current client',
    ],
    [
      'schema 1 with the media type of schema 2',
      { schemaVersion: 1, config, layers: [] },
      docker.image,
      'its manifest is invalid: schemaVersion is not 2',
    ],
    [
      'a media type other than that of the response',
      { ...image, mediaType: docker.image },
      oci.image,
      'the media type in its manifest differs from that of the response',
    ],
    [
      'an index with the media type of an image',
      { ...index, mediaType: oci.image },
      oci.index,
      'the media type in its manifest differs from that of the response',
    ],
    [
      'an image with manifests beside its layers',
      { ...image, manifests: [config] },
      oci.image,
      'its manifest is invalid: manifests is not allowed beside layers',
    ],
    [
      'an index with layers beside its manifests',
      { ...index, layers: [layer] },
      oci.index,
      'its manifest is invalid: layers is not allowed beside manifests',
    ],
    [
      'an index with a config',
      { ...index, config },
      oci.index,
      'its manifest is invalid: config is not allowed beside manifests',
    ],
    [
      'an image with the layers of schema 1',
      { ...image, fsLayers: [] },
      oci.image,
      'its manifest is invalid: fsLayers is not allowed in schema 2',
    ],
    [
      'a second list of layers for parsers that ignore case',
      { ...image, Layers: [] },
      oci.image,
      'its manifest is invalid: some clients read "Layers" as layers',
    ],
    [
      'a second list of manifests for parsers that fold ſ to s',
      { ...index, 'manifest\u017f': [] },
      oci.index,
      'its manifest is invalid: some clients read "manifest\u017f" as manifests',
    ],
    [
      'a second digest for parsers that ignore case',
      { ...image, layers: [layer, { ...layer, Digest: `sha256:${'b'.repeat(64)}` }] },
      oci.image,
      'its manifest is invalid: some clients read "Digest" as digest',
    ],
    [
      'a digest that is a path',
      { ...image, layers: [{ ...layer, digest: '../../../etc/passwd' }] },
      oci.image,
      'its manifest is invalid: layers.0.digest is not a digest',
    ],
    [
      'a digest with a path behind it',
      { ...index, manifests: [{ ...config, digest: `${digest}/../..` }] },
      oci.index,
      'its manifest is invalid: manifests.0.digest is not a digest',
    ],
    [
      'a digest in capitals',
      { ...image, config: { ...config, digest: digest.toUpperCase() } },
      oci.image,
      'its manifest is invalid: config.digest is not a digest',
    ],
    [
      'a digest that is a number',
      { ...image, config: { ...config, digest: 1 } },
      oci.image,
      'its manifest is invalid: config.digest is not a digest',
    ],
    [
      'a size beyond 2^53',
      `{"schemaVersion":2,"config":{"digest":"${digest}","size":9007199254740993},"layers":[]}`,
      oci.image,
      'its manifest is invalid: config.size is not a size',
    ],
    [
      'a negative size',
      { ...image, layers: [{ ...layer, size: -1 }] },
      oci.image,
      'its manifest is invalid: layers.0.size is not a size',
    ],
    [
      'a fractional size',
      { ...image, layers: [{ ...layer, size: 0.5 }] },
      oci.image,
      'its manifest is invalid: layers.0.size is not a size',
    ],
    [
      'a size in words',
      { ...image, layers: [{ ...layer, size: '\u001b[31mred' }] },
      oci.image,
      'its manifest is invalid: layers.0.size is not a size',
    ],
    [
      '5000 layers',
      { ...image, layers: many },
      oci.image,
      'its manifest is too long: layers has more than 1000 entries',
    ],
    [
      '5000 manifests',
      { ...index, manifests: many },
      oci.index,
      'its manifest is too long: manifests has more than 1000 entries',
    ],
    [
      'an object in place of a list',
      { ...index, manifests: {} },
      oci.index,
      'its manifest is invalid: manifests is not a list',
    ],
  ];
  for (const [what, body, mediaType, message] of refused) {
    it(`rejects a manifest: ${what}`, () => {
      assert.throws(() => parseManifest(bytesOf(body), mediaType), {
        name: 'RegistryError',
        reason: 'UNSUPPORTED',
        message,
      });
    });
  }

  it('rejects an image manifest without a config', () => {
    const body = bytesOf({ schemaVersion: 2, layers: [] });

    assert.throws(() => parseManifest(body, oci.image), {
      reason: 'UNSUPPORTED',
      message: 'its manifest is invalid: config is missing',
    });
  });

  it('rejects a manifest that is not UTF-8', () => {
    assert.throws(() => parseManifest(Uint8Array.of(0xff, 0xfe), oci.image), {
      message: 'its manifest is not JSON',
    });
  });

  it('rejects a manifest of 4 MiB of brackets', () => {
    assert.throws(() => parseManifest(bytesOf('['.repeat(4 * 1024 * 1024)), oci.image), {
      name: 'RegistryError',
    });
  });
});

it('accepts manifest annotations with any key', () => {
  const body = {
    schemaVersion: 2,
    config: { mediaType: 'x', digest, size: 2, annotations: { Digest: 'd' } },
    annotations: { Layers: 'l', 'org.opencontainers.image.title': 't' },
    Subject: 'a name that we do not read',
  };

  assert.equal(parseManifest(bytesOf(body), oci.image).kind, 'image');
});

describe('isIndexType', () => {
  it('isIndexType is true for an index of either format, and false for an image', () => {
    assert.deepEqual([oci.index, docker.index, oci.image, docker.image].map(isIndexType), [
      true,
      true,
      false,
      false,
    ]);
  });
});

describe('assertNotSchema1', () => {
  it('accepts manifests of schema 2 and OCI, unlike schema 1', () => {
    assert.doesNotThrow(() => assertNotSchema1(docker.image));
  });
});

describe('digestOf', () => {
  it('computes a sha256 digest by default', () => {
    assert.equal(
      digestOf(new TextEncoder().encode('hello')),
      'sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824',
    );
  });

  it('computes a digest with the algorithm of a given digest', () => {
    assert.equal(
      digestOf(new Uint8Array(), other),
      'sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e',
    );
  });
});
