import { generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually } from './eventually.ts';
import { createTempDir } from './janitor.ts';
import { findFreePort } from './port.ts';
import { startProcess } from './process.ts';
import { type ProgramResult, runProgram } from './program.ts';
import { probe } from './request.ts';

export interface ApiServer {
  readonly url: string;
  /** Path of a kubeconfig with an administrator. */
  readonly kubeconfig: string;
  /** Runs `kubectl ARGS`; never rejects because of its exit code. */
  readonly kubectl: (args: readonly string[], stdin?: string) => Promise<ProgramResult>;
  /** As `kubectl`, but rejects unless the exit code is 0. Resolves with its stdout. */
  readonly mustKubectl: (args: readonly string[], stdin?: string) => Promise<string>;
  /** Also creates the ServiceAccount `default`, because no controller runs. */
  readonly createNamespace: (
    name: string,
    labels?: Readonly<Record<string, string>>,
  ) => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** etcd and kube-apiserver on loopback with RBAC and default admission; without controllers, so objects stay as admitted. */
export async function startApiServer(flags: readonly string[] = []): Promise<ApiServer> {
  const dir = createTempDir('api-server');
  const etcd = await withFreePorts(startEtcd);
  const port = await findFreePort();
  const url = `https://127.0.0.1:${port}`;
  const kubeconfig = join(dir, 'kubeconfig');
  await writeFile(kubeconfig, JSON.stringify(toKubeconfig(url)));
  const keys = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  });
  const files = { pub: join(dir, 'sa.pub'), key: join(dir, 'sa.key'), tokens: join(dir, 'tokens') };
  await writeFile(files.pub, keys.publicKey);
  await writeFile(files.key, keys.privateKey);
  await writeFile(files.tokens, 'admin,admin,admin,"system:masters"\n');

  const server = await startProcess({
    program: 'kube-apiserver',
    args: [
      `--etcd-servers=${etcd.url}`,
      `--secure-port=${port}`,
      '--bind-address=127.0.0.1',
      '--advertise-address=127.0.0.1',
      '--endpoint-reconciler-type=none',
      `--cert-dir=${dir}`,
      `--service-account-key-file=${files.pub}`,
      `--service-account-signing-key-file=${files.key}`,
      '--service-account-issuer=https://kubernetes.default.svc',
      `--token-auth-file=${files.tokens}`,
      '--authorization-mode=RBAC',
      '--service-cluster-ip-range=127.77.0.0/16',
      '--allow-privileged=true',
      ...flags,
    ],
    dir,
    isReady: async () => {
      const { code } = await runProgram('kubectl', ['get', '--raw', '/readyz'], {
        env: { KUBECONFIG: kubeconfig },
        withinMs: 5_000,
      });
      return code === 0;
    },
  });

  const kubectl: ApiServer['kubectl'] = (args, stdin = '') =>
    runProgram('kubectl', args, { stdin, env: { KUBECONFIG: kubeconfig } });
  const mustKubectl: ApiServer['mustKubectl'] = async (args, stdin) => {
    const { code, stdout, stderr } = await kubectl(args, stdin);
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr.trim()}`);
    return stdout;
  };
  const createServiceAccount = async (namespace: string): Promise<void> => {
    await mustKubectl(['create', 'serviceaccount', 'default', '--namespace', namespace]);
  };
  // The API server creates this namespace shortly after it is ready.
  await eventually(
    'the namespace default exists',
    async () => (await kubectl(['get', 'namespace', 'default'])).code === 0,
  );
  await createServiceAccount('default');

  return {
    url,
    kubeconfig,
    kubectl,
    mustKubectl,
    createNamespace: async (name, labels = {}) => {
      const metadata = { name, labels };
      const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata };
      await mustKubectl(['create', '--filename', '-'], JSON.stringify(namespace));
      await createServiceAccount(name);
    },
    stop: async () => {
      await server.stop();
      await etcd.stop();
    },
  };
}

/** Another process may take a port between the search and the start. */
async function withFreePorts<Started>(start: () => Promise<Started>): Promise<Started> {
  try {
    return await start();
  } catch (error) {
    if (!(error instanceof Error) || !error.message.includes('address already in use')) throw error;
    return await start();
  }
}

async function startEtcd(): Promise<{ readonly url: string; readonly stop: () => Promise<void> }> {
  const dir = createTempDir('etcd');
  const url = `http://127.0.0.1:${await findFreePort()}`;
  const peerUrl = `http://127.0.0.1:${await findFreePort()}`;
  const etcd = await startProcess({
    program: 'etcd',
    args: [
      `--data-dir=${join(dir, 'data')}`,
      `--listen-client-urls=${url}`,
      `--advertise-client-urls=${url}`,
      `--listen-peer-urls=${peerUrl}`,
      `--initial-advertise-peer-urls=${peerUrl}`,
      `--initial-cluster=default=${peerUrl}`,
      '--unsafe-no-fsync',
      '--log-level=error',
    ],
    dir,
    isReady: async () => (await probe(`${url}/health`)) === 200,
  });
  return {
    url,
    stop: async () => {
      await etcd.stop();
    },
  };
}

function toKubeconfig(server: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
    users: [{ name: 'admin', user: { token: 'admin' } }],
    clusters: [{ name: 'test', cluster: { server, 'insecure-skip-tls-verify': true } }],
  };
}
