import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { openLeaseStore, openNamespaceReader } from '../../../lib/adapters/kubernetes/index.ts';
import { createMemoryLog } from '../../support/memory-log.ts';
import { startFakeApi } from './fake-api.ts';

const { signal } = new AbortController();

describe('openNamespaceReader', () => {
  const { logger } = createMemoryLog();
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'kubeconfig-'));
  });
  afterEach(async () => {
    await rm(dir, { recursive: true });
  });

  async function writeKubeconfig(content: string): Promise<string> {
    const file = join(dir, 'config');
    await writeFile(file, content);
    return file;
  }

  it("sends the token of the kubeconfig's current context to the server of that context", async () => {
    const fake = await startFakeApi();
    const kubeconfigFile = await writeKubeconfig(
      JSON.stringify({
        'current-context': 'here',
        contexts: [{ name: 'here', context: { cluster: 'fake', user: 'us' } }],
        users: [{ name: 'us', user: { token: 't0ken' } }],
        clusters: [
          { name: 'fake', cluster: { server: fake.url, 'insecure-skip-tls-verify': true } },
        ],
      }),
    );
    fake.answers.set('a/secrets/x', { body: { type: 't' } });

    const reader = await openNamespaceReader({ kubeconfigFile, insideCluster: true, logger });

    const secret = { type: 't', data: {} };
    assert.deepEqual(await reader.readSecret('a', 'x', signal), { status: 'found', found: secret });
    await fake.close();
  });

  const broken = [
    ['is not YAML', '{"users":[{"user":{"token":"s3cret'],
    ['is another document', 's3cret: 1'],
    [
      'lacks its current context',
      '{"current-context":"x","contexts":[],"users":[{"name":"s3cret","user":{}}],"clusters":[]}',
    ],
  ] as const;
  for (const [what, content] of broken) {
    it(`rejects a KUBECONFIG file that ${what}, and names it without quoting it`, async () => {
      const kubeconfigFile = await writeKubeconfig(content);

      await assert.rejects(openNamespaceReader({ kubeconfigFile, insideCluster: true, logger }), {
        name: 'ConfigError',
        message: `PULL_SECRETS=true cannot work: KUBECONFIG ${kubeconfigFile} is not a kubeconfig file with a valid current context`,
      });
    });
  }

  it('reports a configuration error in a pod without a ServiceAccount token', async () => {
    await assert.rejects(
      openNamespaceReader({ kubeconfigFile: undefined, insideCluster: true, logger }),
      {
        name: 'ConfigError',
        message:
          'PULL_SECRETS=true cannot work: the pod has no ServiceAccount token; remove automountServiceAccountToken: false',
      },
    );
  });

  it('reports a configuration error outside a cluster without KUBECONFIG', async () => {
    await assert.rejects(
      openNamespaceReader({ kubeconfigFile: undefined, insideCluster: false, logger }),
      {
        name: 'ConfigError',
        message:
          'PULL_SECRETS=true cannot work: no cluster is configured; run the webhook inside a cluster, or set KUBECONFIG',
      },
    );
  });
});

describe('openLeaseStore', () => {
  const { logger } = createMemoryLog();
  const settings = { kubeconfigFile: undefined, insideCluster: true, namespace: 'ours', logger };

  it("keeps Leases in the namespace of the kubeconfig's context", async (t) => {
    const fake = await startFakeApi();
    t.after(fake.close);
    const dir = await mkdtemp(join(tmpdir(), 'kubeconfig-'));
    const kubeconfigFile = join(dir, 'config');
    await writeFile(
      kubeconfigFile,
      JSON.stringify({
        'current-context': 'here',
        contexts: [{ name: 'here', context: { cluster: 'fake', user: 'us', namespace: 'theirs' } }],
        users: [{ name: 'us', user: { token: 't0ken' } }],
        clusters: [
          { name: 'fake', cluster: { server: fake.url, 'insecure-skip-tls-verify': true } },
        ],
      }),
    );

    const store = await openLeaseStore({ ...settings, kubeconfigFile });
    await store.list(signal);

    assert.match(
      String(fake.requests),
      /^GET \/apis\/coordination.k8s.io\/v1\/namespaces\/theirs\/leases\?/,
    );
    await rm(dir, { recursive: true });
  });

  it('names the reason why a pod without a ServiceAccount token cannot share copies', async () => {
    await assert.rejects(openLeaseStore(settings), {
      name: 'ConfigError',
      message:
        'replicas cannot share copies: the pod has no ServiceAccount token; remove automountServiceAccountToken: false',
    });
  });
});
