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

  it('asks for every type that it knows', async () => {
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

  it('finds nothing where there is nothing', async () => {
    nock('https://reg.test').head(tag).reply(404);

    assert.equal(await openHarness().client.headManifest('1', signal), undefined);
  });

  it('reads the manifest where its digest is not said', async () => {
    nock('https://reg.test').head(tag).reply(200, '', { 'content-type': imageType });
    nock('https://reg.test').get(tag).reply(200, '{}', { 'content-type': imageType });

    assert.equal((await openHarness().client.headManifest('1', signal))?.digest, empty);
  });

  const lies = [
    [
      'no digest at all',
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
    it(`believes ${what} from nobody`, async () => {
      nock('https://reg.test')
        .head(`/v2/team/app/manifests/${reference}`)
        .reply(200, '', { 'docker-content-digest': said });

      await assert.rejects(openHarness().client.headManifest(reference, signal), {
        reason: 'REFUSED',
        message,
      });
    });
  }

  it('reads the manifest where its digest is said by another algorithm than it was asked for by', async () => {
    const path = `/v2/team/app/manifests/${empty}`;
    const headers = { 'docker-content-digest': `sha512:${'c'.repeat(128)}` };
    nock('https://reg.test').head(path).reply(200, '', headers);
    nock('https://reg.test').get(path).reply(200, '{}', headers);

    assert.equal((await openHarness().client.headManifest(empty, signal))?.digest, empty);
  });
});

describe('getManifest', () => {
  useNock();

  it('gives the bytes as they are', async () => {
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
    ['the digest that was asked for', other, {}],
    ['the digest that its header says', '1', { 'docker-content-digest': other }],
    ['a digest that is none', '1', { 'docker-content-digest': 'x' }],
  ] as const;
  for (const [what, reference, headers] of lies) {
    it(`refuses bytes that do not have ${what}`, async () => {
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
    it(`does not take ${words} for an image that a tag names, since nothing vouches for it`, async () => {
      const headers = type === undefined ? {} : { 'content-type': type };
      nock('https://reg.test').get(tag).reply(200, '{"schemaVersion":2}', headers);

      await assert.rejects(openHarness().client.getManifest('1', signal), {
        reason: 'UNAVAILABLE',
        message: `reading its manifest: it served ${words} instead of a manifest; check for a proxy or a login page in front of it`,
      });
    });
  }

  it('takes what has the digest that was asked for, whatever it is called', async () => {
    nock('https://reg.test').get(`/v2/team/app/manifests/${empty}`).reply(200, '{}');

    assert.equal((await openHarness().client.getManifest(empty, signal))?.digest, empty);
  });

  it('takes 4 MiB', async () => {
    nock('https://reg.test')
      .get(tag)
      .reply(200, ' '.repeat(4_194_304), { 'content-type': imageType });

    const found = await openHarness().client.getManifest('1', signal);

    assert.equal(found?.bytes.length, 4_194_304);
  });

  it('takes no byte more than 4 MiB', async () => {
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
    ['nothing', {}, false],
    ['its digest', { 'docker-content-digest': empty }, false],
    ['that it knows the subject', { 'oci-subject': other }, true],
  ] as const) {
    it(`is content with a registry that says ${what}`, async () => {
      nock('https://reg.test', { reqheaders: { 'content-type': imageType } })
        .put(tag, '{}')
        .reply(201, '', headers);

      assert.deepEqual(await openHarness().client.putManifest('1', manifest, signal), {
        hasSubject,
      });
    });
  }

  it('writes again what was garbled on the way', async () => {
    nock('https://reg.test')
      .put(tag, '{}')
      .reply(201, '', { 'docker-content-digest': other })
      .put(tag, '{}')
      .reply(201, '', { 'docker-content-digest': empty });

    assert.deepEqual(await openHarness().client.putManifest('1', manifest, signal), {
      hasSubject: false,
    });
  });

  it('notices that something else was stored', async () => {
    nock('https://reg.test')
      .put(tag, '{}')
      .times(2)
      .reply(201, '', { 'docker-content-digest': other });

    await assert.rejects(openHarness().client.putManifest('1', manifest, signal), {
      reason: 'REFUSED',
      message: 'writing the manifest: it stored other content than it was sent',
    });
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
      'what is served as a web page, but has the digest',
      200,
      { 'content-type': 'text/html', 'docker-content-digest': served.digest },
      true,
    ],
    ['404', 404, {}, false],
    ['403, as Artifactory says it', 403, {}, false],
    ['405', 405, {}, false],
  ] as const;
  for (const [what, status, headers, expected] of cases) {
    it(`takes ${what} for ${expected ? 'there' : 'not there'}`, async () => {
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

  it('does not take a web page for an answer', async () => {
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

  it('puts the bytes where the registry wants them, query and all', async () => {
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

  it('puts nothing for an empty blob', async () => {
    nock('https://reg.test').post(posted).reply(202, '', { location: '/up/1' });
    nock('https://reg.test', { reqheaders: { 'content-length': '0' } })
      .put(/^\/up\/1\?digest=/, '')
      .reply(201);
    const { client } = openHarness();

    const session = await client.startUpload(signal);
    await client.finishUpload(session, { ...descriptor, size: 0 }, hello, signal);
  });

  it('takes 201 to a plain POST for no upload', async () => {
    nock('https://reg.test').post(posted).reply(201, '', { location: '/up/1' });

    await assert.rejects(openHarness().client.startUpload(signal), {
      reason: 'REFUSED',
      message: 'starting an upload: status 201',
    });
  });

  it('says when it is not told where to', async () => {
    nock('https://reg.test').post(posted).reply(202);

    await assert.rejects(openHarness().client.startUpload(signal), {
      message: 'starting an upload: its Location is missing or invalid',
    });
  });

  it('goes on with the session of a mount that was not made', async () => {
    nock('https://reg.test')
      .post(posted)
      .query({ mount: digest, from: 'a/b' })
      .reply(202, '', { location: '/up/1' });

    const session = await openHarness().client.mountBlob({ path: 'a/b', digest }, signal);

    assert.deepEqual(session, { location: new URL('https://reg.test/up/1') });
  });

  it('gives a session up, and bears that it is gone already', async () => {
    nock('https://reg.test').delete('/up/1?_state=x').reply(204);
    nock('https://reg.test').delete('/up/2').reply(500).delete('/up/2').reply(404);
    const { client } = openHarness();

    await client.cancelUpload({ location: new URL('https://reg.test/up/1?_state=x') });
    await client.cancelUpload({ location: new URL('https://reg.test/up/2') });
  });
});

describe('getReferrers', () => {
  useNock();
  const asked = `/v2/team/app/referrers/${served.digest}`;

  for (const status of [400, 404, 405, 406, 501]) {
    it(`takes ${status} for a registry that does not know the question`, async () => {
      nock('https://reg.test').get(asked).reply(status, 'what?');

      assert.equal(await openHarness().client.getReferrers(served.digest, signal), undefined);
    });
  }
});
