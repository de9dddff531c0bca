import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as v from 'valibot';
import { originalImagesAnnotation } from '../../lib/admission/original-images.ts';
import type { ReviewPolicy } from '../../lib/admission/policy.ts';
import type { AdmissionReview } from '../../lib/admission/review.ts';
import { createAdmissionHandler } from '../../lib/create-admission-handler.ts';
import { parseImagePattern } from '../../lib/image/pattern.ts';
import { createFakeCloner, type FakeCloner } from '../support/fake-cloner.ts';
import {
  type DeploymentOptions,
  deployment,
  patchOf,
  policy,
  type ReviewOptions,
  review,
} from '../support/reviews.ts';

const A = `sha256:${'a'.repeat(64)}`;
const evil = 'evil.example/miner:1';
const container = '/spec/template/spec/containers/0/image';

const operationSchema = v.object({ op: v.string(), path: v.string(), value: v.unknown() });

interface Attacked {
  readonly cloner: FakeCloner;
  send(options: ReviewOptions): Promise<AdmissionReview>;
}

/** Policy that allows Docker Hub only, with `acme` as the backup. */
function attacked(change: Partial<ReviewPolicy> = {}): Attacked {
  const cloner = createFakeCloner();
  cloner.put('nginx:1.27', A);
  cloner.put(evil, A);
  const handler = createAdmissionHandler({
    cloner,
    policy: policy({ sourceRegistries: ['docker.io'], ...change }),
    now: () => 0,
  });
  return {
    cloner,
    send: (options) =>
      handler(review(options), { signal: new AbortController().signal, budgetMs: 9_000 }),
  };
}

/** A Deployment with one container and a forged annotation of original images. */
function forged(image: string, originals: unknown, options: DeploymentOptions = {}): unknown {
  const record = typeof originals === 'string' ? originals : JSON.stringify(originals);
  return deployment(
    { web: image },
    { ...options, annotations: { [originalImagesAnnotation]: record } },
  );
}

/** Images that the patch writes. */
function imagesOf(answer: AdmissionReview): readonly unknown[] {
  const operations = patchOf(answer);
  const values: unknown[] = [];
  for (const operation of Array.isArray(operations) ? operations : []) {
    const { op, path, value } = v.parse(operationSchema, operation);
    if (op === 'replace' && path.endsWith('/image')) values.push(value);
  }
  return values;
}

function assertRefused({ response }: AdmissionReview): void {
  assert.deepEqual(response.status, {
    code: 403,
    reason: 'Forbidden',
    message:
      'container "web": evil.example/miner:1 may not be used: SOURCE_REGISTRIES does not list evil.example',
  });
  assert.equal(response.allowed, false);
}

describe('a forged original-images annotation', () => {
  const records = [
    ['names another image', { 'containers/web': 'nginx:1.27' }],
    ['names the image itself', { 'containers/web': evil }],
    ['names the copy of the image', { 'containers/web': 'acme/evil.example__miner:1' }],
    ['names another container', { 'containers/other': 'nginx:1.27' }],
    ['has empty keys', { '': '', __proto__: 'nginx:1.27' }],
    ['is not JSON', '{"containers/web":'],
    ['is a JSON array', '[["containers/web","nginx:1.27"]]'],
  ] as const;
  for (const [what, record] of records) {
    it(`does not bypass SOURCE_REGISTRIES on CREATE if the annotation ${what}`, async () => {
      const { cloner, send } = attacked();

      assertRefused(await send({ object: forged(evil, record) }));
      assert.deepEqual(cloner.resolved, []);
    });

    it(`does not bypass SOURCE_REGISTRIES on UPDATE if the annotation of both objects ${what}`, async () => {
      const { send } = attacked();
      const oldObject = forged('acme/nginx:1.27', record);

      assertRefused(await send({ object: forged(evil, record), oldObject }));
    });
  }

  it('writes only the backup of the image in the object, whatever the old object contains', async () => {
    // The stored object names a copy that was never made.
    const { send } = attacked();
    const oldObject = forged('acme/evil.example__miner:1', { 'containers/web': evil });

    const answer = await send({ object: deployment({ web: evil }), oldObject });

    // The image comes from the backup or not at all: evil.example receives no request.
    assert.deepEqual(imagesOf(answer), ['acme/evil.example__miner:1']);
  });

  it('drops a forged annotation entry of another image at the next change', async () => {
    const { send } = attacked();
    const both = { 'containers/web': evil, 'containers/side': evil };
    const images = { web: 'acme/nginx:1.27', side: 'nginx:1.27' };
    const object = deployment(images, {
      annotations: { [originalImagesAnnotation]: JSON.stringify(both) },
    });

    const operations = JSON.stringify(patchOf(await send({ object })));

    assert.ok(!operations.includes('evil.example'), operations);
  });

  it('ignores a forged annotation key that points outside the pod spec', async () => {
    const { send } = attacked();
    const object = forged('nginx:1.27', { 'containers/../../metadata/name': 'nginx:1.27' });

    const operations = patchOf(await send({ object }));

    assert.deepEqual(operations, [
      { op: 'test', path: container, value: 'nginx:1.27' },
      { op: 'replace', path: container, value: 'acme/nginx:1.27' },
      {
        op: 'add',
        path: '/metadata/annotations/image-cloner~1original-images',
        value: '{"containers/web":"nginx:1.27"}',
      },
    ]);
  });
});

describe('an image admitted with pull policy Never', () => {
  const withPolicy = (imagePullPolicy: string): unknown =>
    deployment({}, { pod: { containers: [{ name: 'web', image: evil, imagePullPolicy }] } });

  it('checks an image when its pull policy changes from Never to Always', async () => {
    const { send } = attacked();

    const first = await send({ object: withPolicy('Never') });
    const second = await send({ object: withPolicy('Always'), oldObject: withPolicy('Never') });

    assert.equal(first.response.allowed, true);
    assertRefused(second);
  });

  it('checks an image volume when its pull policy changes from Never to Always', async () => {
    const { send } = attacked();
    const volume = (pullPolicy: string): unknown =>
      deployment(
        { web: 'acme/nginx:1.27' },
        { pod: { volumes: [{ name: 'data', image: { reference: evil, pullPolicy } }] } },
      );

    const { response } = await send({ object: volume('Always'), oldObject: volume('Never') });

    assert.equal(response.allowed, false);
    assert.match(response.status?.message ?? '', /^volume "data": evil\.example\/miner:1 may not/);
  });

  it('leaves an image unchanged while its pull policy stays Never', async () => {
    const { send } = attacked();

    const { response } = await send({
      object: withPolicy('Never'),
      oldObject: withPolicy('Never'),
    });

    assert.deepEqual([response.allowed, response.warnings], [true, undefined]);
  });
});

describe('a forged controller owner', () => {
  it('does not bypass SOURCE_REGISTRIES with an owner that does not exist', async () => {
    const { cloner, send } = attacked();
    const ownerReferences = [{ apiVersion: 'made.up/v1', kind: 'Thing', controller: true }];

    assertRefused(await send({ object: deployment({ web: evil }, { ownerReferences }) }));
    assert.deepEqual(cloner.resolved, []);
  });
});

describe('a forged mirror pod annotation', () => {
  it('does not bypass SOURCE_REGISTRIES with a mirror pod annotation on a Deployment', async () => {
    const { cloner, send } = attacked();
    const annotations = { 'kubernetes.io/config.mirror': 'x' };

    assertRefused(await send({ object: deployment({ web: evil }, { annotations }) }));
    assert.deepEqual(cloner.resolved, []);
  });
});

describe('an image name that resembles an allowed one', () => {
  const ignoring = { ignoreImages: [parseImagePattern('quay.io/internal/**')] };
  const names = [
    ['Cyrillic letters', 'dосker.io/library/nginx:1', 422],
    ['a full-width dot', 'docker．io/library/nginx:1', 422],
    ['a zero-width space', 'docker\u200b.io/library/nginx:1', 422],
    ['an override of the direction', '\u202edocker.io/library/nginx:1', 422],
    ['punycode', 'xn--dcker-9ce.io/library/nginx:1', 403],
    ['a longer host', 'docker.io.evil.example/acme/nginx:1', 403],
    ['a user before the host', 'docker.io@evil.example/nginx:1', 422],
    ['a port', 'docker.io:444/acme/nginx:1', 403],
    ['a scheme', 'https://docker.io/acme/nginx:1', 422],
    ['an ignored name as a path', 'evil.example/quay.io/internal/app:1', 403],
    ['an ignored name as a tag', 'evil.example/x:quay.io', 403],
    ['an ignored name behind dots', 'evil.example/../quay.io/internal/app', 422],
    ['an ignored name in upper case', 'QUAY.IO/internal/app', 403],
    ['a line break', 'quay.io/internal/app\nevil.example/x', 422],
  ] as const;
  for (const [what, image, code] of names) {
    it(`refuses an image name with ${what}`, async () => {
      const { cloner, send } = attacked(ignoring);

      const { response } = await send({ object: deployment({ web: image }) });

      assert.deepEqual([response.allowed, response.status?.code], [false, code]);
      assert.deepEqual(cloner.resolved, []);
      assert.doesNotMatch(response.status?.message ?? '', /[\p{Cc}\p{Cf}]/u);
    });
  }
});

describe("a workload that names another namespace's copy", () => {
  it("admits a workload that names another namespace's copy unchanged, without a pull secret for it", async () => {
    const { cloner, send } = attacked({ backupPullSecret: 'backup' });

    const { response } = await send({ object: deployment({ web: 'acme/quay.io__other__app:1' }) });

    assert.deepEqual([response.allowed, response.patch], [true, undefined]);
    assert.deepEqual(cloner.resolved, []);
  });

  it("does not reveal to a workload whether another namespace's copy exists", async () => {
    const { cloner, send } = attacked();
    cloner.put('acme/quay.io__other__app:1', A);

    const [there, absent] = await Promise.all(
      ['1', '2'].map((tag) =>
        send({ object: deployment({ web: `acme/quay.io__other__app:${tag}` }) }),
      ),
    );

    assert.deepEqual(there, absent);
  });
});
