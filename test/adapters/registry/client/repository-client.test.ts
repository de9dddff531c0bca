import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import nock from 'nock';
import { openHarness, served, useNock } from '../nock-harness.ts';

const { signal } = new AbortController();
const imageType = 'application/vnd.oci.image.manifest.v1+json';
/** sha256 of `{}`. */
const empty = 'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a';
const other = `sha256:${'b'.repeat(64)}`;
const tag = '/v2/team/app/manifests/1';
const accept = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.v1+prettyjws',
  'application/vnd.docker.distribution.manifest.v1+json',
].join(', ');

describe('headManifest', () => {
  useNock();

  it('requests a manifest with every known media type', async () => {
    nock('https://reg.test', { reqheaders: { accept } })
      .head(tag)
      .reply(200, '', {
        ...served.headers,
        'content-type': `${imageType}; charset=utf-8`,
      });

    assert.deepEqual(await openHarness().client.headManifest('1', signal), {
      digest: served.digest,
      mediaType: imageType,
    });
  });

  it('resolves a manifest that the registry answers with 404 to undefined', async () => {
    nock('https://reg.test').head(tag).reply(404);

    assert.equal(await openHarness().client.headManifest('1', signal), undefined);
  });

  it('reads the manifest if the HEAD response has no digest', async () => {
    nock('https://reg.test').head(tag).reply(200, '', { 'content-type': imageType });
    nock('https://reg.test').get(tag).reply(200, '{}', { 'content-type': imageType });

    assert.equal((await openHarness().client.headManifest('1', signal))?.digest, empty);
  });

  const lies = [
    [
      'a malformed digest',
      '1',
      'sha256:../..',
      'resolving the reference: the digest that it sent is malformed',
    ],
    [
      'another digest',
      served.digest,
      other,
      'resolving the reference: it served content with another digest',
    ],
  ] as const;
  for (const [what, reference, said, message] of lies) {
    it(`rejects ${what} in the HEAD response`, async () => {
      nock('https://reg.test')
        .head(`/v2/team/app/manifests/${reference}`)
        .reply(200, '', { 'docker-content-digest': said });

      await assert.rejects(openHarness().client.headManifest(reference, signal), {
        reason: 'REFUSED',
        message,
      });
    });
  }

  it('reads the manifest if the HEAD response has a digest in another algorithm', async () => {
    const path = `/v2/team/app/manifests/${empty}`;
    const headers = { 'docker-content-digest': `sha512:${'c'.repeat(128)}` };
    nock('https://reg.test').head(path).reply(200, '', headers);
    nock('https://reg.test').get(path).reply(200, '{}', headers);

    assert.equal((await openHarness().client.headManifest(empty, signal))?.digest, empty);
  });
});

describe('getManifest', () => {
  useNock();

  it('returns the bytes of a manifest unchanged', async () => {
    const bytes = '{ }';
    nock('https://reg.test')
      .get(tag)
      .reply(200, bytes, { 'content-type': `${imageType};a=b` });

    assert.deepEqual(await openHarness().client.getManifest('1', signal), {
      bytes: Buffer.from(bytes),
      digest: 'sha256:257c1be96ae69f4b01c2c69bdb6d78605f59175819fb007d0bf245bf48444c4a',
      mediaType: imageType,
    });
  });

  const lies = [
    ['the requested digest', other, {}],
    ['the digest in the header', '1', { 'docker-content-digest': other }],
    ['a malformed digest in the header', '1', { 'docker-content-digest': 'x' }],
  ] as const;
  for (const [what, reference, headers] of lies) {
    it(`rejects manifest bytes that do not match ${what}`, async () => {
      nock('https://reg.test').get(`/v2/team/app/manifests/${reference}`).reply(200, '{}', headers);

      await assert.rejects(openHarness().client.getManifest(reference, signal), {
        reason: 'REFUSED',
        message: 'reading its manifest: it served content with another digest',
      });
    });
  }

  const pages = [
    ['text/html; charset=utf-8', '"text/html"'],
    ['application/json', '"application/json"'],
    [undefined, 'content without a type'],
  ] as const;
  for (const [type, words] of pages) {
    it(`rejects ${words} as the manifest of a tag if there is no digest to check`, async () => {
      const headers = type === undefined ? {} : { 'content-type': type };
      nock('https://reg.test').get(tag).reply(200, '{"schemaVersion":2}', headers);

      await assert.rejects(openHarness().client.getManifest('1', signal), {
        reason: 'UNAVAILABLE',
        message: `reading its manifest: it served ${words} instead of a manifest; check for a proxy or a login page in front of it`,
      });
    });
  }

  it('accepts manifest bytes with the requested digest, whatever their media type', async () => {
    nock('https://reg.test').get(`/v2/team/app/manifests/${empty}`).reply(200, '{}');

    assert.equal((await openHarness().client.getManifest(empty, signal))?.digest, empty);
  });

  it('accepts a manifest of 4 MiB', async () => {
    nock('https://reg.test')
      .get(tag)
      .reply(200, ' '.repeat(4_194_304), { 'content-type': imageType });

    const manifest = await openHarness().client.getManifest('1', signal);

    assert.equal(manifest?.bytes.length, 4_194_304);
  });

  it('rejects a manifest of more than 4 MiB', async () => {
    nock('https://reg.test')
      .get(tag)
      .reply(200, ' '.repeat(4_194_305), { 'content-type': imageType });

    await assert.rejects(openHarness().client.getManifest('1', signal), {
      reason: 'UNSUPPORTED',
      message: 'reading its manifest: the response is larger than 4194304 bytes',
    });
  });
});

describe('putManifest', () => {
  useNock();
  const manifest = { bytes: Buffer.from('{}'), mediaType: imageType, digest: empty };

  for (const [what, headers, hasSubject] of [
    ['no digest', {}, false],
    ['the digest of the manifest', { 'docker-content-digest': empty }, false],
    ['a subject', { 'oci-subject': other }, true],
  ] as const) {
    it(`accepts a response to the PUT of a manifest with ${what}`, async () => {
      nock('https://reg.test', { reqheaders: { 'content-type': imageType } })
        .put(tag, '{}')
        .reply(201, '', headers);

      assert.deepEqual(await openHarness().client.putManifest('1', manifest, signal), {
        hasSubject,
      });
    });
  }

  it('writes a manifest again if the response has another digest', async () => {
    nock('https://reg.test')
      .put(tag, '{}')
      .reply(201, '', { 'docker-content-digest': other })
      .put(tag, '{}')
      .reply(201, '', { 'docker-content-digest': empty });

    assert.deepEqual(await openHarness().client.putManifest('1', manifest, signal), {
      hasSubject: false,
    });
  });

  it('rejects a manifest that is stored twice with another digest', async () => {
    nock('https://reg.test')
      .put(tag, '{}')
      .times(2)
      .reply(201, '', { 'docker-content-digest': other });

    await assert.rejects(openHarness().client.putManifest('1', manifest, signal), {
      reason: 'REFUSED',
      message: 'writing the manifest: it stored other content than it was sent',
    });
  });

  const blobUnknown = { errors: [{ code: 'MANIFEST_BLOB_UNKNOWN', message: 'blob unknown' }] };

  it('accepts 200 for a manifest if the registry then has it', async () => {
    const headers = { 'docker-content-digest': empty, 'content-type': 'application/json' };
    nock('https://reg.test').put(tag, '{}').reply(200).head(tag).reply(200, '', headers);

    await openHarness().client.putManifest('1', manifest, signal);
  });

  it('rejects 200 for a manifest that the registry does not have', async () => {
    nock('https://reg.test').put(tag, '{}').reply(200).head(tag).reply(404);

    await assert.rejects(openHarness().client.putManifest('1', manifest, signal), {
      message: 'writing the manifest: status 200, and it does not have it',
    });
  });

  it('writes a manifest again after a pause when the registry does not know its blobs yet', async () => {
    nock('https://reg.test').put(tag, '{}').reply(400, blobUnknown).put(tag, '{}').reply(201);
    const harness = openHarness();

    await harness.client.putManifest('1', manifest, signal);

    assert.deepEqual(harness.pauses, [1_000]);
  });

  it('rejects a manifest whose blobs the registry does not know after a pause either', async () => {
    nock('https://reg.test').put(tag, '{}').twice().reply(400, blobUnknown);
    const harness = openHarness();

    await assert.rejects(harness.client.putManifest('1', manifest, signal), {
      code: 'MANIFEST_BLOB_UNKNOWN',
    });
    assert.deepEqual(harness.pauses, [1_000]);
  });

  it('does not write a manifest again that the registry rejects for another reason', async () => {
    const invalid = { errors: [{ code: 'MANIFEST_INVALID', message: 'manifest invalid' }] };
    nock('https://reg.test').put(tag, '{}').reply(400, invalid);

    await assert.rejects(openHarness().client.putManifest('1', manifest, signal), {
      message: 'writing the manifest: manifest invalid',
    });
  });

  const unsupportedType = {
    errors: [
      {
        code: 'MANIFEST_INVALID',
        message: 'manifest invalid',
        detail: { mediaType: 'application/vnd.docker.distribution.manifest.v2+json' },
      },
    ],
  };

  for (const mediaType of [
    'application/vnd.docker.distribution.manifest.v2+json',
    'application/vnd.docker.distribution.manifest.list.v2+json',
  ]) {
    it(`names the setting of zot when the registry answers 415 to ${mediaType}`, async () => {
      nock('https://reg.test').put(tag, '{}').reply(415, unsupportedType);

      await assert.rejects(
        openHarness().client.putManifest('1', { ...manifest, mediaType }, signal),
        {
          reason: 'REFUSED',
          status: 415,
          message: `writing the manifest: it accepts no images in docker's format (${mediaType}); if it is zot, set http.compat to ["docker2s2"]`,
        },
      );
    });
  }

  it('does not name the setting of zot when the registry answers 415 to an OCI manifest', async () => {
    nock('https://reg.test').put(tag, '{}').reply(415, unsupportedType);

    await assert.rejects(openHarness().client.putManifest('1', manifest, signal), {
      message: 'writing the manifest: manifest invalid',
    });
  });

  const digestInvalid = { errors: [{ code: 'DIGEST_INVALID', message: 'invalid digest' }] };

  it('retries a manifest after DIGEST_INVALID, but not one with a sha512 digest', async () => {
    nock('https://reg.test').put(tag, '{}').reply(400, digestInvalid).put(tag, '{}').reply(201);
    await openHarness().client.putManifest('1', manifest, signal);
    const digest = `sha512:${'c'.repeat(128)}`;
    nock('https://reg.test').put(`/v2/team/app/manifests/${digest}`).reply(400, digestInvalid);
    const harness = openHarness();

    await assert.rejects(harness.client.putManifest(digest, { ...manifest, digest }, signal), {
      isTransient: false,
    });
    assert.deepEqual(harness.pauses, []);
  });
});

describe('hasBlob and hasManifest', () => {
  useNock();

  const cases = [
    ['200', 200, {}, true],
    ['200 with the digest', 200, { 'docker-content-digest': served.digest }, true],
    [
      '200 with the digest by another algorithm',
      200,
      { 'docker-content-digest': `sha512:${'c'.repeat(128)}` },
      true,
    ],
    ['200 with another digest', 200, { 'docker-content-digest': other }, false],
    ['a web page', 200, { 'content-type': 'text/html; charset=utf-8' }, false],
    [
      'a web page with the digest',
      200,
      { 'content-type': 'text/html', 'docker-content-digest': served.digest },
      true,
    ],
    ['404', 404, {}, false],
    ['403 (Artifactory)', 403, {}, false],
    ['405', 405, {}, false],
  ] as const;
  for (const [what, status, headers, expected] of cases) {
    it(`treats a blob or manifest as ${expected ? 'present' : 'absent'} after ${what}`, async () => {
      nock('https://reg.test')
        .head(`/v2/team/app/blobs/${served.digest}`)
        .reply(status, '', headers);
      nock('https://reg.test')
        .head(`/v2/team/app/manifests/${served.digest}`)
        .reply(status, '', headers);
      const { client } = openHarness();

      assert.deepEqual(
        [
          await client.hasBlob(served.digest, signal),
          await client.hasManifest(served.digest, signal),
        ],
        [expected, expected],
      );
    });
  }
});

describe('lacksBlob', () => {
  useNock();

  it('rejects a web page as the response to a check for a blob', async () => {
    nock('https://reg.test')
      .head(`/v2/team/app/blobs/${served.digest}`)
      .reply(200, '', { 'content-type': 'text/html' });

    await assert.rejects(openHarness().client.lacksBlob(served.digest, signal), {
      reason: 'UNAVAILABLE',
      message:
        'checking for a layer: it served a web page; check for a proxy or a login page in front of it',
    });
  });
});

describe('startUpload, finishUpload and cancelUpload', () => {
  useNock();
  const posted = '/v2/team/app/blobs/uploads/';
  const digest = 'sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824';
  const descriptor = { digest, size: 5, mediaType: '' };
  async function* hello(): AsyncGenerator<Uint8Array> {
    yield await Promise.resolve(Buffer.from('hello'));
  }

  it('uploads a blob to the Location with its query', async () => {
    nock('https://reg.test').post(posted).reply(202, '', { location: '/up/1?_state=a%2Bb==&x' });
    nock('https://reg.test', {
      reqheaders: { 'content-length': '5', 'content-type': 'application/octet-stream' },
    })
      .put((uri) => uri === `/up/1?_state=a%2Bb==&x&digest=${encodeURIComponent(digest)}`, 'hello')
      .reply(201);
    const { client } = openHarness();

    const session = await client.startUpload(signal);
    await client.finishUpload(session, descriptor, hello, signal);
  });

  it('sends an empty body for an empty blob', async () => {
    nock('https://reg.test').post(posted).reply(202, '', { location: '/up/1' });
    nock('https://reg.test', { reqheaders: { 'content-length': '0' } })
      .put(/^\/up\/1\?digest=/, '')
      .reply(201);
    const { client } = openHarness();

    const session = await client.startUpload(signal);
    await client.finishUpload(session, { ...descriptor, size: 0 }, hello, signal);
  });

  it('rejects a 201 response to the start of an upload without a mount', async () => {
    nock('https://reg.test').post(posted).reply(201, '', { location: '/up/1' });

    await assert.rejects(openHarness().client.startUpload(signal), {
      reason: 'REFUSED',
      message: 'starting an upload: status 201',
    });
  });

  it('rejects the start of an upload without a Location', async () => {
    nock('https://reg.test').post(posted).reply(202);

    await assert.rejects(openHarness().client.startUpload(signal), {
      message: 'starting an upload: its Location is missing or invalid',
    });
  });

  it('returns the upload session if the registry does not mount a blob', async () => {
    nock('https://reg.test')
      .post(posted)
      .query({ mount: digest, from: 'a/b' })
      .reply(202, '', { location: '/up/1' });

    const session = await openHarness().client.mountBlob({ path: 'a/b', digest }, signal);

    assert.deepEqual(session, { location: new URL('https://reg.test/up/1') });
  });

  it('cancels an upload session, and ignores that it does not exist', async () => {
    nock('https://reg.test').delete('/up/1?_state=x').reply(204);
    nock('https://reg.test').delete('/up/2').reply(500).delete('/up/2').reply(404);
    const { client } = openHarness();

    await client.cancelUpload({ location: new URL('https://reg.test/up/1?_state=x') });
    await client.cancelUpload({ location: new URL('https://reg.test/up/2') });
  });
});

describe('finishUpload of a sha512 digest', () => {
  useNock();
  const location = new URL('https://reg.test/v2/team/app/blobs/uploads/1');
  const digest = `sha512:${'c'.repeat(128)}`;

  async function* body(): AsyncGenerator<Uint8Array> {
    yield await Promise.resolve(Uint8Array.of(1));
  }

  for (const [code, suffix] of [
    ['DIGEST_INVALID', '; the registry may not accept sha512 digests'],
    ['UNSUPPORTED', '; the registry may not accept sha512 digests'],
    ['SIZE_INVALID', ''],
  ] as const) {
    it(`rejects an upload with a sha512 digest after one ${code}${suffix === '' ? '' : ', and names the algorithm'}`, async () => {
      nock('https://reg.test')
        .put(/uploads/)
        .reply(400, { errors: [{ code, message: 'no' }] });
      const descriptor = { mediaType: 'x', digest, size: 1 };

      await assert.rejects(
        openHarness().client.finishUpload({ location }, descriptor, body, signal),
        { reason: 'REFUSED', code, isTransient: false, message: `writing a layer: no${suffix}` },
      );
    });
  }
});

describe('getReferrers', () => {
  useNock();
  const referrers = `/v2/team/app/referrers/${served.digest}`;

  for (const status of [400, 404, 405, 406, 501]) {
    it(`resolves referrers to undefined after ${status}, from a registry without the referrers API`, async () => {
      nock('https://reg.test').get(referrers).reply(status, 'what?');

      assert.equal(await openHarness().client.getReferrers(served.digest, signal), undefined);
    });
  }
});
