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

/** The source answers every request for the image with this. */
function serve(
  body: Uint8Array<ArrayBuffer> | ReadableStream,
  headers: Readonly<Record<string, string>> = {},
): void {
  const held =
    body instanceof Uint8Array
      ? `sha256:${createHash('sha256').update(body).digest('hex')}`
      : digest;
  pod.source.faults.add(
    ({ kind, path }) => kind === 'manifest' && !path.includes('/sha256-'),
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

describe('oversized manifests', () => {
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
    ['has a layer of negative size', manifest([{ ...layer, size: -1 }]), /cannot be copied: /],
    [
      'has a path traversal in a digest',
      manifest([{ ...layer, digest: 'sha256:../../../../v2/other/blobs/x' }]),
      /cannot be copied: /,
    ],
    [
      'has a path traversal in a digest algorithm',
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
    ['has a __proto__ key', '{"__proto__":{"layers":[]},"schemaVersion":2}', /cannot be copied: /],
  ] as const;
  for (const [what, text, words] of planted) {
    it(`refuses a manifest that ${what}`, { timeout: 20_000 }, async () => {
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
    it(`refuses a manifest in ${encoding} without unpacking it`, async () => {
      const before = process.memoryUsage().arrayBuffers;
      serve(Uint8Array.from(body), { 'content-encoding': encoding });

      await refuses(/its manifest is not JSON$/);
      assert.ok(process.memoryUsage().arrayBuffers - before < zeros.length / 2);
    });
  }

  it('stops reading an endless manifest after 4 MiB', async () => {
    let sent = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) {
        sent += 65_536;
        yield new Uint8Array(65_536);
      }
    }
    serve(ReadableStream.from(endless()));

    await refuses(/the response is larger than 4194304 bytes$/);
    // Data in transit fills the buffers of both ends.
    assert.ok(sent < 32 * 1024 * 1024, String(sent));
  });

  it('frees endless manifests that twenty registries send without a digest', async () => {
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
    const limit = images * 1024 * 1024;
    let kept = Number.POSITIVE_INFINITY;
    // The last chunks are still in transit when they have been sent.
    for (let round = 0; round < 200 && kept >= limit; round += 1) {
      await setImmediate();
      runInNewContext('gc()');
      kept = process.memoryUsage().arrayBuffers - before;
    }

    assert.ok(kept < limit, String(kept));
    ended.resolve(undefined);
    assert.equal((await answer).allowed, false);
  });
});

describe('oversized reviews', () => {
  const handler = createAdmissionHandler({ cloner: createFakeCloner(), policy: policy() });
  const sendTo = (to: typeof handler, object: unknown): ReturnType<typeof handler> =>
    to(review({ object }), { signal: new AbortController().signal, budgetMs: 5_000 });
  const send = (object: unknown): ReturnType<typeof handler> => sendTo(handler, object);

  it('refuses a pod template with 10 000 containers in a short message', async () => {
    const names = Array.from({ length: 10_000 }, (_, n) => [`c${n}`, `app-${n}:1`] as const);

    const { response } = await send(deployment(Object.fromEntries(names)));

    assert.equal(
      response.status?.message,
      'the object names 10000 different images, and at most 200 are copied for one object: split it',
    );
  });

  it('refuses 10 000 containers with an invalid image in a short message', async () => {
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
    it(`refuses a review with too many ${where} before it reads any`, async () => {
      await assert.rejects(send(deployment({}, more)), {
        code: 'INVALID_REVIEW',
        message: `not an AdmissionReview: request.object.spec.template.spec.${where} has more than 10000 entries`,
      });
    });
  }

  it('refuses a review with 500 000 annotations', async () => {
    const annotations = Object.fromEntries(
      Array.from({ length: 500_000 }, (_, n) => [`a${n}`, '']),
    );

    await assert.rejects(send(deployment({ web: 'nginx' }, { annotations })), {
      code: 'INVALID_REVIEW',
      message:
        'not an AdmissionReview: request.object.metadata.annotations has more than 10000 entries',
    });
  });

  it('refuses an image in more than 400 places in a short message', async () => {
    const names = Array.from({ length: 401 }, (_, n) => [`c${n}`, 'nginx'] as const);

    const { response } = await send(deployment(Object.fromEntries(names)));

    assert.deepEqual(response.status, {
      code: 422,
      message:
        'the object names images in 401 places, and at most 400 are patched in one object: split it',
    });
  });

  it('refuses an image name of 1 MB without repeating it', async () => {
    const { response } = await send(deployment({ ['x'.repeat(1_000_000)]: 'a'.repeat(1_000_000) }));

    assert.equal(response.allowed, false);
    assert.ok((response.status?.message.length ?? 0) < 2_000);
  });

  it('answers a review with a copied container whose name is a million dots', async () => {
    const cloner = createFakeCloner();
    cloner.put('nginx:1.27', digest);
    const copying = createAdmissionHandler({ cloner, policy: policy() });
    const object = deployment({ [`${'.'.repeat(1_000_000)}x`]: 'nginx:1.27' });

    const { response } = await sendTo(copying, object);

    assert.deepEqual(Object.keys(response.auditAnnotations ?? {}), [
      `containers${'.'.repeat(51)}.0`,
    ]);
  });

  it('reports only the first fault of 10 000 containers that are numbers', async () => {
    const before = process.memoryUsage().heapUsed;
    const containers = Array.from({ length: 10_000 }, () => 0);

    await assert.rejects(send(deployment({}, { pod: { containers } })), {
      code: 'INVALID_REVIEW',
      message:
        'not an AdmissionReview: request.object.spec.template.spec.containers.0 is not an object',
    });
    assert.ok(process.memoryUsage().heapUsed - before < 100_000_000);
  });

  // The API server validates a custom resource after the webhook, so its spec may be anything.
  const labelled = (name: string): unknown => ({
    spec: { template: { metadata: { labels: { [name]: 5 } } } },
  });

  it('removes terminal control characters of a label name from the refusal', async () => {
    await assert.rejects(send(labelled('\u001b[2Jx\n\u202ey')), {
      code: 'INVALID_REVIEW',
      message:
        'not an AdmissionReview: request.object.spec.template.metadata.labels. [2Jx y is not a string',
    });
  });

  it('refuses a label name of 1 MB in a short message', async () => {
    await assert.rejects(
      send(labelled('x'.repeat(1_000_000))),
      ({ message }: Error) => message.length < 400,
    );
  });

  it('answers a review whose annotation lists 300 000 original images that are numbers', async () => {
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

  it('frees the memory of a review while a registry does not answer', async () => {
    const fake = createFakeCloner();
    const requested = Promise.withResolvers<undefined>();
    const silent = createAdmissionHandler({
      cloner: {
        ...fake,
        resolve: (_image, _access, signal) => {
          requested.resolve(undefined);
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
    await requested.promise;
    setFlagsFromString('--expose-gc');
    await setImmediate();
    runInNewContext('gc()');

    assert.equal(object.deref(), undefined);
    leaving.abort();
    assert.equal((await answer).response.allowed, false);
  });

  it('answers a review whose annotation is nested 200 000 levels deep', async () => {
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
