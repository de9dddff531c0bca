import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  createMemoryRegistry,
  makeImage,
  makeReferrer,
  seed,
} from '../../../lib/memory-registry/index.ts';

const sbomType = 'application/spdx+json';

describe('GET /v2/NAME/referrers/DIGEST', () => {
  const image = makeImage();
  const sbom = makeReferrer(image, { artifactType: sbomType, annotations: { by: 'test' } });
  const signature = makeReferrer(image, { artifactType: 'application/x.signature' });

  function put(referrers: boolean): Promise<Response> {
    const registry = createMemoryRegistry({ referrers });
    for (const blob of sbom.blobs) registry.store.putBlob('app', blob.bytes);
    return Promise.resolve(
      registry.app.request('/v2/app/manifests/sbom', {
        method: 'PUT',
        headers: { 'content-type': sbom.mediaType },
        body: sbom.bytes,
      }),
    );
  }

  it('lists referrers as an index, filtered by artifactType if requested', async () => {
    const registry = createMemoryRegistry();
    for (const each of [image, sbom, signature]) seed(registry, 'app', each);

    const all = await registry.app.request(`/v2/app/referrers/${image.digest}`);
    const some = await registry.app.request(
      `/v2/app/referrers/${image.digest}?artifactType=${encodeURIComponent(sbomType)}`,
    );

    const type = 'application/vnd.oci.image.index.v1+json';
    const described = {
      mediaType: sbom.mediaType,
      digest: sbom.digest,
      size: sbom.bytes.length,
      artifactType: sbomType,
      annotations: { by: 'test' },
    };
    assert.equal(all.headers.get('content-type'), type);
    assert.equal(all.headers.get('oci-filters-applied'), null);
    assert.match(await all.text(), new RegExp(signature.digest));
    assert.equal(some.headers.get('oci-filters-applied'), 'artifactType');
    assert.deepEqual(await some.json(), {
      schemaVersion: 2,
      mediaType: type,
      manifests: [described],
    });
  });

  it('answers with an empty index if an image has no referrers', async () => {
    const { app } = createMemoryRegistry();

    const response = await app.request(`/v2/app/referrers/${image.digest}`);

    assert.equal(response.status, 200);
    assert.match(await response.text(), /"manifests":\[\]/);
  });

  it('answers the push of a referrer with OCI-Subject', async () => {
    const response = await put(true);

    assert.equal(response.status, 201);
    assert.equal(response.headers.get('oci-subject'), image.digest);
  });

  it('omits OCI-Subject and answers 404 for referrers if the referrers API is disabled', async () => {
    const { app } = createMemoryRegistry({ referrers: false });

    assert.equal((await put(false)).headers.get('oci-subject'), null);
    assert.equal((await app.request(`/v2/app/referrers/${image.digest}`)).status, 404);
  });
});
