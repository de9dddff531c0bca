import { join } from 'node:path';
import { openLeaseStore } from '../../lib/adapters/kubernetes/index.ts';
import type { LeaseStore } from '../../lib/index.ts';
import { describeLeaseStore } from '../contract/lease-store.ts';
import { createMemoryLog } from '../support/memory-log.ts';
import { type ApiServer, startApiServer } from './support/api-server.ts';
import { createTempDir } from './support/janitor.ts';
import { writeKubeconfig } from './support/kubeconfig.ts';

const namespace = 'image-cloner';
/** All that is needed, and all that `knative/rbac.yaml` gives. */
const role = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'Role',
  metadata: { name: 'leases', namespace },
  rules: [
    {
      apiGroups: ['coordination.k8s.io'],
      resources: ['leases'],
      verbs: ['list', 'create', 'update', 'delete'],
    },
  ],
};

/** The namespace of the webhook, its ServiceAccount with the Role, and a kubeconfig of it. */
async function prepare(server: ApiServer, dir: string): Promise<string> {
  await server.createNamespace(namespace);
  await server.mustKubectl(['create', 'serviceaccount', 'image-cloner', '-n', namespace]);
  await server.mustKubectl(['create', '-f', '-'], JSON.stringify(role));
  await server.mustKubectl([
    'create',
    'rolebinding',
    'leases',
    '--role=leases',
    `--serviceaccount=${namespace}:image-cloner`,
    '-n',
    namespace,
  ]);
  const token = await server.mustKubectl(['create', 'token', 'image-cloner', '-n', namespace]);
  const file = join(dir, 'kubeconfig');
  return await writeKubeconfig({ file, url: server.url, token: token.trim(), namespace });
}

async function openStore(kubeconfigFile: string): Promise<LeaseStore> {
  const { logger } = createMemoryLog();
  return await openLeaseStore({
    kubeconfigFile,
    insideCluster: true,
    namespace: undefined,
    logger,
  });
}

describeLeaseStore('the Leases of a real API server', async () => {
  const server = await startApiServer();
  const kubeconfigFile = await prepare(server, createTempDir('leases'));
  return {
    one: await openStore(kubeconfigFile),
    two: await openStore(kubeconfigFile),
    close: server.stop,
  };
});
