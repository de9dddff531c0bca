import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import * as v from 'valibot';
import {
  emptyConfig,
  makeImage,
  makeIndex,
  makeReferrer,
  makeSignature,
  referrersTag,
} from '../../../lib/memory-registry/index.ts';
import { digests, toBytes } from '../sample.ts';

const descriptor = v.looseObject({ mediaType: v.string(), digest: v.string(), size: v.number() });
const imageSchema = v.object({
  config: descriptor,
  layers: v.array(descriptor),
  subject: v.optional(descriptor),
});
const indexSchema = v.object({
  manifests: v.array(
    v.object({
      digest: v.string(),
      platform: v.optional(v.record(v.string(), v.string()), {}),
      annotations: v.optional(v.record(v.string(), v.string()), {}),
    }),
  ),
});

function parse(bytes: Uint8Array): unknown {
  return JSON.parse(new TextDecoder().decode(bytes));
}

describe('makeImage', () => {
  it('makes the same image for the same options and another one for another seed', () => {
    assert.equal(makeImage().digest, makeImage().digest);
    assert.notEqual(makeImage().digest, makeImage({ seed: 'other' }).digest);
  });

  it('makes an image with a layer of the given size, and with a given blob unchanged', () => {
    const { bytes, blobs } = makeImage({ layers: [100_000, toBytes('hello'), toBytes('')] });

    const { config, layers } = v.parse(imageSchema, parse(bytes));
    const [, layer] = blobs;
    assert.equal(config.digest, blobs[0]?.digest);
    assert.deepEqual(
      layers.slice(1).map(({ digest, size }) => ({ digest, size })),
      [
        { digest: digests.layer, size: 5 },
        { digest: digests.empty, size: 0 },
      ],
    );
    assert.equal(layer?.size, layers[0]?.size);
    assert.ok(gunzipSync(layer?.bytes ?? '').length >= 100_000);
  });

  it('makes an image with docker media types if requested', () => {
    const { mediaType, blobs } = makeImage({ mediaTypes: 'docker' });

    assert.equal(mediaType, 'application/vnd.docker.distribution.manifest.v2+json');
    assert.deepEqual(
      blobs.map(({ mediaType }) => mediaType),
      [
        'application/vnd.docker.container.image.v1+json',
        'application/vnd.docker.image.rootfs.diff.tar.gzip',
      ],
    );
  });

  it('makes an image with the empty config of two bytes', () => {
    const { blobs } = makeImage({ config: emptyConfig });

    assert.deepEqual([blobs[0]?.digest, blobs[0]?.size], [digests.config, 2]);
  });
});

describe('makeIndex', () => {
  it('makes an index that lists platforms and attestations as buildkit does', () => {
    const amd = makeImage();
    const arm = makeImage({ platform: 'linux/arm/v7' });

    const { bytes, children } = makeIndex([amd, arm], { attestations: true });

    const { manifests } = v.parse(indexSchema, parse(bytes));
    const unknown = { architecture: 'unknown', os: 'unknown' };
    const type = { 'vnd.docker.reference.type': 'attestation-manifest' };
    assert.deepEqual(
      manifests.map(({ platform, annotations }) => ({ platform, annotations })),
      [
        { platform: { architecture: 'amd64', os: 'linux' }, annotations: {} },
        { platform: { architecture: 'arm', os: 'linux', variant: 'v7' }, annotations: {} },
        { platform: unknown, annotations: { ...type, 'vnd.docker.reference.digest': amd.digest } },
        { platform: unknown, annotations: { ...type, 'vnd.docker.reference.digest': arm.digest } },
      ],
    );
    assert.deepEqual(
      children.map(({ digest }) => digest),
      manifests.map(({ digest }) => digest),
    );
  });
});

describe('makeSignature and makeReferrer', () => {
  const image = makeImage();

  it('tags a signature with the digest of the image, as cosign does', () => {
    assert.equal(makeSignature(image).tag, `sha256-${image.digest.slice(7)}.sig`);
    assert.equal(referrersTag(image.digest), `sha256-${image.digest.slice(7)}`);
  });

  it('makes a referrer whose subject is the image', () => {
    const { bytes, descriptor } = makeReferrer(image, { artifactType: 'text/x.sbom' });

    const { subject } = v.parse(imageSchema, parse(bytes));
    assert.deepEqual(subject, {
      mediaType: image.mediaType,
      digest: image.digest,
      size: image.bytes.length,
    });
    assert.equal(descriptor.artifactType, 'text/x.sbom');
  });
});
