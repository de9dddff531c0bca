import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { planReview, type ReviewPlan } from '../../lib/admission/plan.ts';
import { completePullSecrets } from '../../lib/admission/pull-secrets.ts';
import type { WorkloadSecrets } from '../../lib/index.ts';
import { policy, review } from '../support/reviews.ts';

const { signal } = new AbortController();

function plan(podSpec: object, kind = 'apps/Deployment'): ReviewPlan {
  const spec = { containers: [{ name: 'web', image: 'nginx:1.27' }], ...podSpec };
  const object =
    kind === '/Pod' ? { metadata: {}, spec } : { metadata: {}, spec: { template: { spec } } };
  const body = review({ kind, namespace: 'shop', object });
  return planReview(body, policy({ backupPullSecret: 'backup' }));
}

function cluster(
  accounts: Readonly<Record<string, readonly string[]>>,
  hasBackup: boolean | undefined = true,
): WorkloadSecrets {
  return {
    keyring: () => assert.fail('the keyring is not used'),
    forget: () => assert.fail('the cache is not cleared'),
    serviceAccountSecrets: async (namespace, name) => {
      assert.equal(namespace, 'shop');
      return accounts[name];
    },
    hasSecret: async (namespace, name) => {
      assert.deepEqual([namespace, name], ['shop', 'backup']);
      return hasBackup;
    },
  };
}

async function appended(
  planned: ReviewPlan,
  secrets: WorkloadSecrets,
): Promise<{ readonly names: readonly string[]; readonly warnings: readonly string[] }> {
  const { pullSecrets, warnings } = await completePullSecrets(planned, secrets, signal);
  return { names: pullSecrets.whenCopied, warnings };
}

describe('completePullSecrets', () => {
  it('appends the pull secrets of the ServiceAccount if the template names none', async () => {
    const secrets = cluster({ default: ['of-default'], robot: ['one', 'two'] });

    assert.deepEqual(await appended(plan({}), secrets), {
      names: ['of-default', 'backup'],
      warnings: [],
    });
    const robot = { serviceAccountName: 'robot' };
    assert.deepEqual((await appended(plan(robot), secrets)).names, ['one', 'two', 'backup']);
    const old = { serviceAccount: 'robot' };
    assert.deepEqual((await appended(plan(old), secrets)).names, ['one', 'two', 'backup']);
  });

  it('appends only the backup pull secret if the template names pull secrets', async () => {
    const named = plan({ imagePullSecrets: [{ name: 'mine' }] });

    assert.deepEqual((await appended(named, cluster({}))).names, ['backup']);
  });

  it('appends only the backup pull secret to a Pod', async () => {
    assert.deepEqual((await appended(plan({}, '/Pod'), cluster({}))).names, ['backup']);
  });

  it('appends the backup pull secret once if the ServiceAccount has it', async () => {
    const secrets = cluster({ default: ['backup', 'other'] });

    assert.deepEqual((await appended(plan({}), secrets)).names, ['other', 'backup']);
  });

  it('warns if the ServiceAccount cannot be read or the backup pull secret is missing', async () => {
    assert.deepEqual(await appended(plan({}), cluster({}, false)), {
      names: ['backup'],
      warnings: [
        'ServiceAccount default: its pull secrets cannot be read, and do not apply beside backup: run "just pull-secret shop"',
        'pull secret backup does not exist: run "just pull-secret shop"',
      ],
    });
  });

  it('does not warn if the cluster does not report whether the pull secret exists', async () => {
    const { warnings } = await appended(plan({}), cluster({ default: [] }, undefined));

    assert.deepEqual(warnings, []);
  });
});

describe('planReview of appended pull secrets', () => {
  it('appends the pull secrets of the stored object when the same manifest is applied again', () => {
    const spec = { containers: [{ name: 'web', image: 'nginx:1.27' }] };
    const stored = {
      containers: [{ name: 'web', image: 'acme/nginx:1.27' }],
      imagePullSecrets: [{ name: 'of-default' }, { name: 'backup' }],
    };
    const body = review({
      object: { metadata: {}, spec: { template: { spec } } },
      oldObject: { metadata: {}, spec: { template: { spec: stored } } },
    });

    const { pullSecrets } = planReview(body, policy({ backupPullSecret: 'backup' }));

    assert.deepEqual(pullSecrets.whenReused, ['of-default', 'backup']);
  });
});
