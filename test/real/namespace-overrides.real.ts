import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  createNamespaceAnnotations,
  openNamespaceReader,
} from '../../lib/adapters/kubernetes/index.ts';
import { createMemoryLog, type MemoryLog } from '../support/memory-log.ts';
import { type ApiServer, startApiServer } from './support/api-server.ts';
import { createTempDir } from './support/janitor.ts';
import { writeKubeconfig } from './support/kubeconfig.ts';

const { signal } = new AbortController();

describe('NAMESPACE_OVERRIDES with a real API server', () => {
  const dir = createTempDir('namespace-overrides');
  let server: ApiServer;
  let kubeconfigFile: string;

  before(async () => {
    server = await startApiServer();
    for (const name of ['image-cloner', 'shop']) await server.createNamespace(name);
    await server.mustKubectl(['create', 'serviceaccount', 'image-cloner', '-n', 'image-cloner']);
    const args = ['create', 'token', 'image-cloner', '-n', 'image-cloner'];
    const token = (await server.mustKubectl(args)).trim();
    kubeconfigFile = await writeKubeconfig({ file: join(dir, 'config'), url: server.url, token });
    await server.mustKubectl(['annotate', 'namespace', 'shop', 'image-cloner/on-error=admit']);
    await server.mustKubectl(['annotate', 'namespace', 'shop', 'team=a']);
  });
  after(async () => {
    await server.stop();
  });

  async function read(name: string): Promise<{ readonly found: unknown; readonly log: MemoryLog }> {
    const log = createMemoryLog();
    const { logger } = log;
    const reader = await openNamespaceReader({ kubeconfigFile, insideCluster: false, logger });
    const annotations = createNamespaceAnnotations({ reader, logger });
    return { found: await annotations.read(name, signal), log };
  }

  it('logs once that RBAC does not allow reading namespaces, and continues without overrides', async () => {
    const { found, log } = await read('shop');

    assert.equal(found, undefined);
    assert.deepEqual(
      log.lines.map(({ message }) => message),
      [
        'NAMESPACE_OVERRIDES has no effect: RBAC does not allow reading namespaces; apply knative/namespace-overrides.yaml',
      ],
    );
  });

  it('reads namespace annotations, and nothing else, with namespace-overrides.yaml applied', async () => {
    await server.mustKubectl(['apply', '-f', 'knative/namespace-overrides.yaml']);

    const { found, log } = await read('shop');

    assert.deepEqual(found, new Map([['image-cloner/on-error', 'admit']]));
    assert.deepEqual(log.lines, []);
    assert.equal((await read('nowhere')).found, undefined);
    const us = '--as=system:serviceaccount:image-cloner:image-cloner';
    const may = await server.kubectl(['auth', 'can-i', 'list', 'namespaces', us]);
    assert.match(may.stdout, /^no/);
  });
});
