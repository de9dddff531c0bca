import { join } from 'node:path';
import { type ApiServer, startApiServer } from '../../real/support/api-server.ts';
import { createTempDir } from '../../real/support/janitor.ts';
import { writeKubeconfig } from '../../real/support/kubeconfig.ts';
import { findProgram } from '../../real/support/program.ts';
import { toBasic } from '../audit/secrets.ts';
import { type ApiServerProxy, startApiServerProxy } from './api-server-proxy.ts';
import type { Login } from './auth-mount.ts';
import { hasSecret, secretName, type TestNamespace, testNamespaces } from './namespaces.ts';

/** A real API server with the namespaces of the run and the webhook's permissions. */
export interface Cluster extends Pick<ApiServerProxy, 'faults' | 'setAway'> {
  /** Environment of a replica, as in a pod. */
  readonly env: Readonly<Record<string, string>>;
  /** Token of the webhook's ServiceAccount. */
  readonly token: string;
  readonly stop: () => Promise<void>;
}

export type ClusterKind = 'real' | 'none';

/** The registry that the pull secrets open. */
export interface Safe extends Login {
  readonly host: string;
}

const ours = 'image-cloner';
const pullSecretsFile = join(import.meta.dirname, '../../../knative/pull-secrets.yaml');

/** A real one if it is installed. */
export function chooseCluster(): ClusterKind {
  try {
    for (const name of ['etcd', 'kube-apiserver', 'kubectl']) findProgram(name);
    return 'real';
  } catch {
    // Without it the run uses none.
    return 'none';
  }
}

export async function startCluster(safe: Safe): Promise<Cluster> {
  const server = await startApiServer();
  const proxy = await startApiServerProxy(server.url);
  await server.mustKubectl(['create', '-f', '-'], JSON.stringify(toList(safe)));
  const open = testNamespaces.filter(({ isOpen }) => isOpen);
  const [token] = await Promise.all([
    server.mustKubectl(['create', 'token', ours, '-n', ours]).then((text) => text.trim()),
    ...open.map(({ name }) => server.mustKubectl(['apply', '-n', name, '-f', pullSecretsFile])),
  ]);
  return {
    env: {
      KUBERNETES_SERVICE_HOST: '127.0.0.1',
      KUBECONFIG: await writeOwnKubeconfig(proxy, token),
      PULL_SECRETS: 'true',
      CLUSTER_ID: 'chaos',
    },
    token,
    faults: proxy.faults,
    setAway: proxy.setAway,
    stop: async () => {
      await proxy.stop();
      await server.stop();
    },
  };
}

async function writeOwnKubeconfig({ url }: Pick<ApiServer, 'url'>, token: string): Promise<string> {
  const file = join(createTempDir('cluster'), 'kubeconfig');
  return await writeKubeconfig({ file, url, token, namespace: ours });
}

/** One request for all objects, since kubectl starts slowly. */
function toList(safe: Safe): object {
  const items = [
    toNamespace(ours),
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: ours, namespace: ours } },
    ...toLeaseRole(),
    ...testNamespaces.flatMap((testNamespace) => toNamespaceObjects(testNamespace, safe)),
  ];
  return { apiVersion: 'v1', kind: 'List', items };
}

function toNamespaceObjects(
  { name: namespace, secret }: TestNamespace,
  safe: Safe,
): readonly object[] {
  const account = {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'default', namespace },
    ...(secret === 'account' && { imagePullSecrets: [{ name: secretName }] }),
  };
  const config = JSON.stringify({ auths: { [safe.host]: { auth: toBasic(safe) } } });
  const pullSecret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: secretName, namespace },
    type: 'kubernetes.io/dockerconfigjson',
    stringData: { '.dockerconfigjson': config },
  };
  return [toNamespace(namespace), account, ...(hasSecret(namespace) ? [pullSecret] : [])];
}

function toNamespace(name: string): object {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
}

function toLeaseRole(): readonly object[] {
  const metadata = { name: 'leases', namespace: ours };
  const apiVersion = 'rbac.authorization.k8s.io/v1';
  const verbs = ['list', 'create', 'update', 'delete'];
  return [
    {
      apiVersion,
      kind: 'Role',
      metadata,
      rules: [{ apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs }],
    },
    {
      apiVersion,
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'leases' },
      subjects: [{ kind: 'ServiceAccount', name: ours, namespace: ours }],
    },
  ];
}
