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

describe('defects of the Go original', () => {
  it('gives nginx and bitnami/nginx different backups', async () => {
    const { cloner, send } = stage();
    cloner.put('bitnami/nginx:1.27', B);

    await send(review({ object: deployment({ a: 'nginx:1.27', b: 'bitnami/nginx:1.27' }) }));

    assert.equal(cloner.tags('acme/nginx')['1.27'], A);
    assert.equal(cloner.tags('acme/bitnami__nginx')['1.27'], B);
  });

  it('copies an image that is pinned by digest', async () => {
    const { send } = stage();

    const answer = await send(review({ object: deployment({ web: `nginx@${A}` }) }));

    assert.equal(answer.response.allowed, true);
    assert.match(
      JSON.stringify(patchOf(answer)),
      new RegExp(`"acme/nginx:sha256\\.${'a'.repeat(64)}@${A}"`),
    );
  });

  it('copies an image whose name contains the backup registry as a substring', async () => {
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

  it('rejects a configuration without username and REGISTRY_NAMESPACE', () => {
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
    it(`rejects a malformed review: ${name}`, async () => {
      const { send } = stage();

      await assert.rejects(send(body), { name: 'CloneError', code: 'INVALID_REVIEW' });
    });
  }

  it('denies a failed copy with its reason instead of HTTP 500', async () => {
    const { cloner, send } = stage();
    cloner.fail('nginx:1.27', new CloneError('SOURCE_DENIED', 'docker.io refused us nginx:1.27'));

    const { response } = await send(web);

    assert.deepEqual(response.status, {
      code: 403,
      reason: 'Forbidden',
      message: 'container "web": docker.io refused us nginx:1.27',
    });
  });

  it('pushes nothing in a dry run', async () => {
    const { cloner, send } = stage();

    const answer = await send(review({ object: deployment({ web: 'nginx:1.27' }), dryRun: true }));

    assert.deepEqual(cloner.begun, []);
    assert.deepEqual(patchOf(answer), patched);
  });

  it('patches init containers', async () => {
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

  it('warns if the docker adapter copies one platform of an index', async () => {
    const { cloner, send } = stage({}, { keepsDigest: false });
    cloner.put('nginx:1.27', A, { isIndex: true });

    const { response } = await send(web);

    assert.deepEqual(response.warnings, [
      "nginx:1.27: only the docker daemon's own platform is backed up",
    ]);
  });

  it('answers a review within a timeout of 30 s, not of 30 ms', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { cloner, send } = stage();
    const release = cloner.pauseCopies();
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

  it('admits a Deployment from the backup when the public image is gone', async () => {
    const { cloner, send } = stage();
    await send(web);
    cloner.remove('nginx');

    const answer = await send(web);

    assert.equal(answer.response.allowed, true);
    assert.deepEqual(patchOf(answer), patched);
  });

  it('keeps the old generation after a new upstream push', async () => {
    const { cloner, send } = stage();
    await send(web);
    cloner.put('nginx:1.27', B);

    await send(web);

    assert.equal(cloner.tags('acme/nginx')['1.27.aaaaaaaaaaaa'], A);
  });

  it('does not overwrite a foreign image of the same name in the backup', async () => {
    const { cloner, send } = stage();
    cloner.put('acme/nginx:1.27', B);

    const { response } = await send(web);

    assert.equal(response.allowed, false);
    assert.deepEqual(cloner.tags('acme/nginx'), { '1.27': B });
  });

  it('admits its own Knative Service without a copy', async () => {
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

  it('copies nothing when the same manifest is applied again', async () => {
    const { cloner, send } = stage();
    const object = deployment({ web: 'nginx:1.27' });
    const annotations = { 'image-cloner/original-images': '{"containers/web":"nginx:1.27"}' };
    const oldObject = deployment({ web: 'acme/nginx:1.27' }, { annotations });

    const answer = await send(review({ object, oldObject }));

    assert.deepEqual(cloner.resolved, []);
    assert.deepEqual(patchOf(answer), patched);
  });
});

async function settle(): Promise<void> {
  for (let round = 0; round < 5; round += 1) await flushed();
}
