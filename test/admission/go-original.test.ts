import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as flushed } from 'node:timers/promises';
import type { ReviewPolicy } from '../../lib/admission/policy.ts';
import type { AdmissionReview } from '../../lib/admission/review.ts';
import { createCopies } from '../../lib/cloner/queue/copies.ts';
import { toBackupNamespace } from '../../lib/config/backup-registry.ts';
import { createAdmissionHandler } from '../../lib/create-admission-handler.ts';
import { CloneError } from '../../lib/errors.ts';
import { createFakeCloner } from '../support/fake-cloner.ts';
import { deployment, firstImage, patchOf, policy, replaced, review } from '../support/reviews.ts';

const A = `sha256:${'a'.repeat(64)}`;
const B = `sha256:${'b'.repeat(64)}`;

function stage(change: Partial<ReviewPolicy> = {}, { keepsDigest = true } = {}) {
  const cloner = createFakeCloner({ keepsDigest });
  const copies = createCopies({ now: () => 0 });
  const handler = createAdmissionHandler({ cloner, copies, policy: policy(change), now: () => 0 });
  cloner.put('nginx:1.27', A);
  const send = (body: unknown, budgetMs = 9_000): Promise<AdmissionReview> =>
    handler(body, { signal: new AbortController().signal, budgetMs });
  return { cloner, copies, send };
}

const web = review({ object: deployment({ web: 'nginx:1.27' }) });
const patched = [
  ...replaced(firstImage, 'nginx:1.27', 'acme/nginx:1.27'),
  {
    op: 'add',
    path: '/metadata/annotations',
    value: { 'image-cloner/original-images': '{"containers/web":"nginx:1.27"}' },
  },
];

describe('what the Go original did wrong', () => {
  it('names collided: nginx and bitnami/nginx both became user/nginx', async () => {
    const { cloner, send } = stage();
    cloner.put('bitnami/nginx:1.27', B);

    await send(review({ object: deployment({ a: 'nginx:1.27', b: 'bitnami/nginx:1.27' }) }));

    assert.equal(cloner.tags('acme/nginx')['1.27'], A);
    assert.equal(cloner.tags('acme/bitnami__nginx')['1.27'], B);
  });

  it('images pinned by digest always failed', async () => {
    const { send } = stage();

    const answer = await send(review({ object: deployment({ web: `nginx@${A}` }) }));

    assert.equal(answer.response.allowed, true);
    assert.match(
      JSON.stringify(patchOf(answer)),
      new RegExp(`"acme/nginx:sha256\\.${'a'.repeat(64)}@${A}"`),
    );
  });

  it('any name that contained the registry was taken for a backup', async () => {
    const { cloner, send } = stage({
      backup: { domain: 'registry.corp', namespace: 'acme', naming: 'flat' },
    });
    cloner.put('evil.io/registry.corp/acme/nginx:1', B);

    const answer = await send(
      review({ object: deployment({ web: 'evil.io/registry.corp/acme/nginx:1' }) }),
    );

    assert.equal(cloner.tags('registry.corp/acme/evil.io__registry.corp__acme__nginx')['1'], B);
    assert.notEqual(patchOf(answer), undefined);
  });

  it('without a username nothing was ever backed up, silently', () => {
    assert.throws(() => toBackupNamespace({ domain: 'docker.io', path: '' }, ''), {
      name: 'ConfigError',
      message: /^REGISTRY_NAMESPACE must be set: the username "" /,
    });
  });

  for (const [name, body] of Object.entries({
    null: null,
    'an empty object': {},
    'a review without a request': { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview' },
    'a Deployment without an object': review({}),
    'containers that are no list': review({
      kind: '/Pod',
      object: { spec: { containers: { image: 'x' } } },
    }),
  })) {
    it(`a malformed review crashed it: ${name}`, async () => {
      const { send } = stage();

      await assert.rejects(send(body), { name: 'CloneError', code: 'INVALID_REVIEW' });
    });
  }

  it('copy errors went out as HTTP 500, so nobody saw the reason', async () => {
    const { cloner, send } = stage();
    cloner.fail('nginx:1.27', new CloneError('SOURCE_DENIED', 'docker.io refused us nginx:1.27'));

    const { response } = await send(web);

    assert.deepEqual(response.status, {
      code: 403,
      reason: 'Forbidden',
      message: 'container "web": docker.io refused us nginx:1.27',
    });
  });

  it('dry runs pushed images', async () => {
    const { cloner, send } = stage();

    const answer = await send(review({ object: deployment({ web: 'nginx:1.27' }), dryRun: true }));

    assert.deepEqual(cloner.begun, []);
    assert.deepEqual(patchOf(answer), patched);
  });

  it('init containers were ignored', async () => {
    const { send } = stage();
    const pod = { initContainers: [{ name: 'init', image: 'nginx:1.27' }] };

    const answer = await send(review({ object: deployment({}, { pod }) }));

    assert.deepEqual(patchOf(answer), [
      ...replaced('/spec/template/spec/initContainers/0/image', 'nginx:1.27', 'acme/nginx:1.27'),
      {
        op: 'add',
        path: '/metadata/annotations',
        value: { 'image-cloner/original-images': '{"initContainers/init":"nginx:1.27"}' },
      },
    ]);
  });

  it('one platform was copied without a word', async () => {
    const { cloner, send } = stage({}, { keepsDigest: false });
    cloner.put('nginx:1.27', A, { isIndex: true });

    const { response } = await send(web);

    assert.deepEqual(response.warnings, [
      "nginx:1.27: only the docker daemon's own platform is backed up",
    ]);
  });

  it('the timeout of 30 s was 30 ms, and ignored', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { cloner, send } = stage();
    const release = cloner.hold();
    let answer: AdmissionReview | undefined;

    const answering = send(web, 30_000).then((given) => {
      answer = given;
    });
    await settle();
    t.mock.timers.tick(29_999);
    await settle();
    const early = answer;
    t.mock.timers.tick(1);
    await answering;
    release();

    assert.equal(early, undefined);
    assert.equal(answer?.response.status?.code, 504);
  });

  it('once the public image was gone the Deployment was refused although its backup existed', async () => {
    const { cloner, send } = stage();
    await send(web);
    cloner.remove('nginx');

    const answer = await send(web);

    assert.equal(answer.response.allowed, true);
    assert.deepEqual(patchOf(answer), patched);
  });

  it('a bad upstream push overwrote the good backup', async () => {
    const { cloner, send } = stage();
    await send(web);
    cloner.put('nginx:1.27', B);

    await send(web);

    assert.equal(cloner.tags('acme/nginx')['1.27.aaaaaaaaaaaa'], A);
  });

  it('an image that somebody else kept under that name was overwritten', async () => {
    const { cloner, send } = stage();
    cloner.put('acme/nginx:1.27', B);

    const { response } = await send(web);

    assert.equal(response.allowed, false);
    assert.deepEqual(cloner.tags('acme/nginx'), { '1.27': B });
  });

  it('the webhook blocked its own update', async () => {
    const { cloner, send } = stage({ ownService: { namespace: 'ours', name: 'image-cloner' } });
    cloner.fail('docker.io', new CloneError('BACKUP_UNAVAILABLE', 'everything is down'));
    const where = { namespace: 'ours', name: 'image-cloner' };

    const answer = await send(
      review({
        kind: 'serving.knative.dev/Service',
        ...where,
        object: deployment({ web: 'nginx:1.27' }),
      }),
    );

    assert.equal(answer.response.allowed, true);
    assert.equal(patchOf(answer), undefined);
  });

  it('applying the same manifest again copied the image again', async () => {
    const { cloner, send } = stage();
    const object = deployment({ web: 'nginx:1.27' });
    const annotations = { 'image-cloner/original-images': '{"containers/web":"nginx:1.27"}' };
    const oldObject = deployment({ web: 'acme/nginx:1.27' }, { annotations });

    const answer = await send(review({ object, oldObject }));

    assert.deepEqual(cloner.asked, []);
    assert.deepEqual(patchOf(answer), patched);
  });
});

async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await flushed();
}
