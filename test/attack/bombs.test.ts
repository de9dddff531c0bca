import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { createAdmissionHandler } from '../../lib/index.ts';
import { createFakeCloner } from '../support/fake-cloner.ts';
import { deployment, policy, review } from '../support/reviews.ts';
import { openPod, type Pod } from './pod.ts';

const ociManifest = 'application/vnd.oci.image.manifest.v1+json';
const digest = `sha256:${'a'.repeat(64)}`;
const config = { mediaType: 'application/vnd.oci.image.config.v1+json', digest, size: 2 };
const layer = { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest, size: 2 };

let pod: Pod;
beforeEach(async () => {
  pod = await openPod();
});
afterEach(async () => {
  await pod.close();
});

/** Every manifest of the source is this, whoever asks and however. */
function serve(
  body: Uint8Array<ArrayBuffer> | ReadableStream,
  headers: Readonly<Record<string, string>> = {},
): void {
  const held =
    body instanceof Uint8Array
      ? `sha256:${createHash('sha256').update(body).digest('hex')}`
      : digest;
  pod.source.faults.add(
    ({ kind }) => kind === 'manifest',
    async ({ method }) =>
      new Response(method === 'HEAD' ? null : body, {
        headers: { 'content-type': ociManifest, 'docker-content-digest': held, ...headers },
      }),
  );
}

async function refuses(words: RegExp): Promise<void> {
  const { allowed, message } = await pod.apply('app:bomb');

  assert.equal(allowed, false);
  assert.match(message, words);
  assert.deepEqual(pod.backup.store.repositories(), []);
}

describe('a manifest that is a bomb', () => {
  const manifest = (layers: readonly unknown[]): string =>
    JSON.stringify({ schemaVersion: 2, mediaType: ociManifest, config, layers });
  const planted = [
    [
      'has 100 000 layers',
      manifest(Array.from({ length: 100_000 }, () => layer)),
      /reading its manifest: the response is larger than 4194304 bytes$/,
    ],
    [
      'has as many layers as fit into 4 MiB',
      manifest(Array.from({ length: 25_000 }, () => ({ ...layer, mediaType: 'x/y' }))),
      /cannot be copied: /,
    ],
    [
      'has a layer of a million terabytes',
      manifest([{ ...layer, size: Number.MAX_SAFE_INTEGER * 2 }]),
      /cannot be copied: /,
    ],
    ['has a layer of less than nothing', manifest([{ ...layer, size: -1 }]), /cannot be copied: /],
    [
      'climbs out with a digest',
      manifest([{ ...layer, digest: 'sha256:../../../../v2/other/blobs/x' }]),
      /cannot be copied: /,
    ],
    [
      'climbs out with an algorithm',
      manifest([{ ...layer, digest: `../../x:${'a'.repeat(64)}` }]),
      /cannot be copied: /,
    ],
    [
      'has two million layers that are numbers',
      `{"schemaVersion":2,"layers":[${'0,'.repeat(2_000_000)}0],"config":0}`,
      /cannot be copied: its manifest is invalid: config is missing$/,
    ],
    ['is 3 MiB of brackets', '['.repeat(3 * 1024 * 1024), /cannot be copied: /],
    ['is nested 100 000 deep', `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`, /cannot be/],
    ['has a prototype', '{"__proto__":{"layers":[]},"schemaVersion":2}', /cannot be copied: /],
  ] as const;
  for (const [what, text, words] of planted) {
    it(`is refused where it ${what}`, { timeout: 20_000 }, async () => {
      const before = process.memoryUsage().heapUsed;
      serve(new TextEncoder().encode(text));

      await refuses(words);
      assert.ok(process.memoryUsage().heapUsed - before < 200_000_000);
    });
  }

  const zeros = new Uint8Array(64 * 1024 * 1024);
  const packed = [
    ['gzip', gzipSync(zeros)],
    ['br', brotliCompressSync(zeros)],
  ] as const;
  for (const [encoding, body] of packed) {
    it(`is not unpacked from ${encoding}`, async () => {
      const before = process.memoryUsage().arrayBuffers;
      serve(Uint8Array.from(body), { 'content-encoding': encoding });

      await refuses(/its manifest is not JSON$/);
      assert.ok(process.memoryUsage().arrayBuffers - before < zeros.length / 2);
    });
  }

  it('is read no further than 4 MiB where it never ends', async () => {
    let sent = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) {
        sent += 65_536;
        yield new Uint8Array(65_536);
      }
    }
    serve(ReadableStream.from(endless()));

    await refuses(/the response is larger than 4194304 bytes$/);
    // What is on its way fills the buffers of both ends.
    assert.ok(sent < 32 * 1024 * 1024, String(sent));
  });

  it('is not kept where twenty registries leave out its digest, and end 4 MiB never', async () => {
    const images = 20;
    const chunk = new Uint8Array(65_536);
    const ended = Promise.withResolvers<undefined>();
    const all = Promise.withResolvers<undefined>();
    let read = 0;
    async function* almost(): AsyncGenerator<Uint8Array> {
      for (let sent = chunk.length; sent < 4 * 1024 * 1024; sent += chunk.length) yield chunk;
      read += 1;
      if (read === images) all.resolve(undefined);
      await ended.promise;
    }
    pod.source.faults.add(
      ({ kind }) => kind === 'manifest',
      async ({ method }) =>
        new Response(method === 'HEAD' ? null : ReadableStream.from(almost()), {
          headers: { 'content-type': ociManifest },
        }),
    );
    const numbers = Array.from({ length: images }, (_, n) => n);
    const names = numbers.map((n) => [`c${n}`, `${pod.source.host}/app:${n}`] as const);
    setFlagsFromString('--expose-gc');
    runInNewContext('gc()');
    const before = process.memoryUsage().arrayBuffers;

    const answer = pod.send({ object: deployment(Object.fromEntries(names)) });
    await all.promise;
    runInNewContext('gc()');
    const kept = process.memoryUsage().arrayBuffers - before;

    assert.ok(kept < images * 1024 * 1024, String(kept));
    ended.resolve(undefined);
    assert.equal((await answer).allowed, false);
  });
});

describe('a review that is a bomb', () => {
  const handler = createAdmissionHandler({ cloner: createFakeCloner(), policy: policy() });
  const sendTo = (to: typeof handler, object: unknown): ReturnType<typeof handler> =>
    to(review({ object }), { signal: new AbortController().signal, budgetMs: 5_000 });
  const send = (object: unknown): ReturnType<typeof handler> => sendTo(handler, object);

  it('is refused with a short sentence where a pod template names 10 000 containers', async () => {
    const names = Array.from({ length: 10_000 }, (_, n) => [`c${n}`, `app-${n}:1`] as const);

    const { response } = await send(deployment(Object.fromEntries(names)));

    assert.equal(
      response.status?.message,
      'container "c0": app-0:1: the object names 10000 different images, and at most 200 are copied for one object: split it',
    );
  });

  it('is refused with a short sentence where 10 000 containers have a name that is none', async () => {
    const names = Array.from({ length: 10_000 }, (_, n) => [`c${n}`, `//${n}`] as const);

    const { response } = await send(deployment(Object.fromEntries(names)));

    assert.equal(response.status?.code, 422);
    assert.ok((response.status?.message.length ?? 0) < 4_000);
    assert.match(response.status?.message ?? '', /; and 9980 more$/);
  });

  const tooLong = [
    [
      'containers',
      { pod: { containers: Array.from({ length: 500_000 }, () => ({ image: 'A' })) } },
    ],
    ['volumes', { pod: { volumes: Array.from({ length: 10_001 }, () => ({})) } }],
  ] as const;
  for (const [where, more] of tooLong) {
    it(`is refused for the length of its ${where}, and none of them is looked at`, async () => {
      await assert.rejects(send(deployment({}, more)), {
        code: 'INVALID_REVIEW',
        message: `not an AdmissionReview: request.object.spec.template.spec.${where} has more than 10000 entries`,
      });
    });
  }

  it('is refused where it has half a million annotations', async () => {
    const annotations = Object.fromEntries(
      Array.from({ length: 500_000 }, (_, n) => [`a${n}`, '']),
    );

    await assert.rejects(send(deployment({ web: 'nginx' }, { annotations })), {
      code: 'INVALID_REVIEW',
      message:
        'not an AdmissionReview: request.object.metadata.annotations has more than 10000 entries',
    });
  });

  it('is refused with a short sentence where one image is in more than 400 places', async () => {
    const names = Array.from({ length: 401 }, (_, n) => [`c${n}`, 'nginx'] as const);

    const { response } = await send(deployment(Object.fromEntries(names)));

    assert.deepEqual(response.status, {
      code: 422,
      message:
        'container "c0": nginx: the object names images in 401 places, and at most 400 are patched in one object: split it',
    });
  });

  it('is refused where a name is a megabyte long, and does not repeat it', async () => {
    const { response } = await send(deployment({ ['x'.repeat(1_000_000)]: 'a'.repeat(1_000_000) }));

    assert.equal(response.allowed, false);
    assert.ok((response.status?.message.length ?? 0) < 2_000);
  });

  it('is answered where a container that is copied has a name of a million dots', async () => {
    const cloner = createFakeCloner();
    cloner.put('nginx:1.27', digest);
    const copying = createAdmissionHandler({ cloner, policy: policy() });
    const object = deployment({ [`${'.'.repeat(1_000_000)}x`]: 'nginx:1.27' });

    const { response } = await sendTo(copying, object);

    assert.deepEqual(Object.keys(response.auditAnnotations ?? {}), [
      `containers${'.'.repeat(51)}.0`,
    ]);
  });

  it('is refused for its first fault, where ten thousand of its containers are numbers', async () => {
    const before = process.memoryUsage().heapUsed;
    const containers = Array.from({ length: 10_000 }, () => 0);

    await assert.rejects(send(deployment({}, { pod: { containers } })), {
      code: 'INVALID_REVIEW',
      message:
        'not an AdmissionReview: request.object.spec.template.spec.containers.0 is not an object',
    });
    assert.ok(process.memoryUsage().heapUsed - before < 100_000_000);
  });

  // The spec of a Knative Service comes as it was written: a custom resource is validated after us.
  const labelled = (name: string): unknown => ({
    spec: { template: { metadata: { labels: { [name]: 5 } } } },
  });

  it('is refused in clean words where a label has a name that a terminal obeys', async () => {
    await assert.rejects(send(labelled('\u001b[2Jx\n\u202ey')), {
      code: 'INVALID_REVIEW',
      message:
        'not an AdmissionReview: request.object.spec.template.metadata.labels. [2Jx y is not a string',
    });
  });

  it('is refused in few words where a label has a name of a megabyte', async () => {
    await assert.rejects(
      send(labelled('x'.repeat(1_000_000))),
      ({ message }: Error) => message.length < 400,
    );
  });

  it('is answered where an annotation names 300 000 originals that are numbers', async () => {
    const before = process.memoryUsage().heapUsed;
    const record = Object.fromEntries(Array.from({ length: 300_000 }, (_, n) => [`c${n}`, n]));

    const { response } = await send(
      deployment(
        { web: 'acme/app:1' },
        { annotations: { 'image-cloner/original-images': JSON.stringify(record) } },
      ),
    );

    assert.equal(response.allowed, true);
    assert.ok(process.memoryUsage().heapUsed - before < 100_000_000);
  });

  it('is not kept while a registry is silent', async () => {
    const fake = createFakeCloner();
    const asked = Promise.withResolvers<undefined>();
    const silent = createAdmissionHandler({
      cloner: {
        ...fake,
        resolve: (_image, _access, signal) => {
          asked.resolve(undefined);
          const { promise, reject } = Promise.withResolvers<never>();
          signal.addEventListener('abort', () => reject(signal.reason), { once: true });
          return promise;
        },
      },
      policy: policy(),
    });
    const leaving = new AbortController();
    const begin = (): { answer: ReturnType<typeof silent>; object: WeakRef<object> } => {
      const object = { spec: { template: { spec: { containers: [{ image: 'nginx' }] } } } };
      const options = { signal: leaving.signal, budgetMs: 20_000 };
      return { answer: silent(review({ object }), options), object: new WeakRef(object) };
    };

    const { answer, object } = begin();
    await asked.promise;
    setFlagsFromString('--expose-gc');
    await setImmediate();
    runInNewContext('gc()');

    assert.equal(object.deref(), undefined);
    leaving.abort();
    assert.equal((await answer).response.allowed, false);
  });

  it('is answered where an annotation is nested 200 000 deep', async () => {
    const record = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;

    const { response } = await send(
      deployment(
        { web: 'acme/app:1' },
        { annotations: { 'image-cloner/original-images': record } },
      ),
    );

    assert.equal(response.allowed, true);
  });
});
