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

  it('asks the server of the current context, with its token', async () => {
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

    const found = { type: 't', data: {} };
    assert.deepEqual(await reader.readSecret('a', 'x', signal), { status: 'found', found });
    await fake.close();
  });

  const broken = [
    ['is no YAML', '{"users":[{"user":{"token":"s3cret'],
    ['is another document', 's3cret: 1'],
    [
      'has no such context',
      '{"current-context":"x","contexts":[],"users":[{"name":"s3cret","user":{}}],"clusters":[]}',
    ],
  ] as const;
  for (const [what, content] of broken) {
    it(`refuses a KUBECONFIG that ${what}, naming and not quoting it`, async () => {
      const kubeconfigFile = await writeKubeconfig(content);

      await assert.rejects(openNamespaceReader({ kubeconfigFile, insideCluster: true, logger }), {
        name: 'ConfigError',
        message: `PULL_SECRETS=true cannot work: KUBECONFIG ${kubeconfigFile} is not a file with a current context that can be used`,
      });
    });
  }

  it('refuses to start in a pod without a token', async () => {
    await assert.rejects(
      openNamespaceReader({ kubeconfigFile: undefined, insideCluster: true, logger }),
      {
        name: 'ConfigError',
        message:
          'PULL_SECRETS=true cannot work: the pod has no token of its ServiceAccount; leave out automountServiceAccountToken: false',
      },
    );
  });

  it('refuses to start without any cluster', async () => {
    await assert.rejects(
      openNamespaceReader({ kubeconfigFile: undefined, insideCluster: false, logger }),
      {
        name: 'ConfigError',
        message:
          'PULL_SECRETS=true cannot work: it needs a cluster: run the webhook inside one, or set KUBECONFIG',
      },
    );
  });
});

describe('openLeaseStore', () => {
  const { logger } = createMemoryLog();
  const settings = { kubeconfigFile: undefined, insideCluster: true, namespace: 'ours', logger };

  it("uses the namespace of the kubeconfig's context", async (t) => {
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

  it('says why a pod without a token cannot share copies', async () => {
    await assert.rejects(openLeaseStore(settings), {
      name: 'ConfigError',
      message:
        'replicas cannot share copies: the pod has no token of its ServiceAccount; leave out automountServiceAccountToken: false',
    });
  });
});
