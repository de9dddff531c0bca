import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import * as v from 'valibot';
import { openLeaseStore } from '../../lib/adapters/kubernetes/index.ts';
import type { LeaseStore } from '../../lib/index.ts';
import { describeLeaseStore } from '../contract/lease-store.ts';
import { createMemoryLog } from '../support/memory-log.ts';
import { deployment, review } from '../support/reviews.ts';
import { type ApiServer, startApiServer } from './support/api-server.ts';
import { createAuthDir } from './support/auth-dir.ts';
import { type Registry, startRegistry } from './support/docker-registry.ts';
import { eventually } from './support/eventually.ts';
import { type Gate, isBlobGet, startGate } from './support/gate.ts';
import { pushImage } from './support/images.ts';
import { createTempDir } from './support/janitor.ts';
import { writeKubeconfig } from './support/kubeconfig.ts';
import { launchProcess } from './support/process.ts';
import { startWebhook, type Webhook } from './support/webhook.ts';

const namespace = 'image-cloner';
/** The minimal permissions. */
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

/** Creates the namespace of the webhook, and its ServiceAccount with the Role. */
async function prepare(server: ApiServer): Promise<void> {
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
}

async function kubeconfigOf(server: ApiServer, account: string): Promise<string> {
  const token = await server.mustKubectl(['create', 'token', account, '-n', namespace]);
  const file = join(createTempDir('leases'), 'kubeconfig');
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
  await prepare(server);
  const kubeconfigFile = await kubeconfigOf(server, 'image-cloner');
  return {
    one: await openStore(kubeconfigFile),
    two: await openStore(kubeconfigFile),
    close: server.stop,
  };
});

const root = join(import.meta.dirname, '../..');
const amount = /\d+ %, [\d.]+ of [\d.]+ MiB/;
const mebibyte = 1024 * 1024;
const user = { name: 'acme', password: 'pa"ss\\wörd+/=' };
const answerSchema = v.object({
  response: v.object({
    allowed: v.boolean(),
    status: v.optional(v.object({ code: v.number(), message: v.string() })),
    patch: v.optional(v.string()),
  }),
});
type Answer = v.InferOutput<typeof answerSchema>['response'];

/** Two processes of the bundle as replicas, in front of real registries. */
describe('two replicas of the bundled webhook', () => {
  let server: ApiServer;
  let source: Registry;
  let backup: Registry;
  let gate: Gate;
  let authDir: string;
  const running: Webhook[] = [];

  before(async () => {
    const build = launchProcess({
      program: process.execPath,
      args: ['--import', 'tsx', 'functions/build/main.ts'],
      cwd: root,
      dir: createTempDir('build'),
    });
    [server, source, backup, authDir] = await Promise.all([
      startApiServer(),
      startRegistry(),
      startRegistry({ users: [user] }),
      createAuthDir(user),
    ]);
    assert.deepEqual(await build.waitForEnd(), { code: 0, signal: null });
    await prepare(server);
  });
  after(async () => {
    await Promise.all([server.stop(), source.stop(), backup.stop()]);
  });
  beforeEach(async () => {
    gate = await startGate(source);
    await backup.forgetRequests();
  });
  afterEach(async () => {
    await Promise.all(running.splice(0).map((webhook) => webhook.stop('SIGKILL')));
    await gate.stop();
  });

  async function start(pod: string, kubeconfigFile: string): Promise<Webhook> {
    const webhook = await startWebhook({
      command: [process.execPath, 'dist/webhook.js'],
      env: {
        CLONER: 'registry',
        REGISTRY: backup.host,
        REGISTRY_AUTH_DIR: authDir,
        INSECURE_REGISTRIES: `${gate.host},${backup.host}`,
        KUBERNETES_SERVICE_HOST: '127.0.0.1',
        KUBECONFIG: kubeconfigFile,
        HOSTNAME: pod,
        LOG_LEVEL: 'debug',
      },
    });
    running.push(webhook);
    return webhook;
  }

  async function startTwo(account = 'image-cloner'): Promise<readonly [Webhook, Webhook]> {
    const kubeconfigFile = await kubeconfigOf(server, account);
    return [await start('pod-a', kubeconfigFile), await start('pod-b', kubeconfigFile)];
  }

  /** Two platforms, so that some layers can arrive while others are held. */
  async function push(name: string): Promise<string> {
    const platforms = ['linux/amd64', 'linux/arm64'];
    return await pushImage(source, name, { bytes: 4 * mebibyte, platforms });
  }

  async function sendReview(webhook: Webhook, name: string, timeout?: string): Promise<Answer> {
    const body = review({ object: deployment({ web: `${gate.host}/${name}` }) });
    const answer = await webhook.review(body, timeout);
    return v.parse(answerSchema, JSON.parse(answer.body)).response;
  }

  /** Lets three blobs through and holds the rest. */
  function holdAmid(): ReturnType<Gate['hold']> {
    let passed = 0;
    return gate.hold((request) => isBlobGet(request) && (passed += 1) > 3);
  }

  /** The digest of each completed upload. */
  async function uploaded(): Promise<readonly string[]> {
    const requests = await backup.requests();
    return requests
      .filter(({ method, status }) => method === 'PUT' && status === 201)
      .flatMap(
        ({ path }) => /\/blobs\/uploads\/.*digest=(sha256%3A|sha256:)(\w+)/.exec(path)?.[2] ?? [],
      );
  }

  /** The digest in the backup that the response points to. */
  async function backupOf({ patch = '' }: Answer): Promise<string | undefined> {
    const text = Buffer.from(patch, 'base64').toString();
    const [, path = '', tag = ''] = /"[^"]+\/(acme\/[^":]+):([^"]+)"/.exec(text) ?? [];
    return await backup.digest(path, tag);
  }

  async function held(): Promise<readonly string[]> {
    const format = 'jsonpath={range .items[*]}{.spec.holderIdentity}{"\\n"}{end}';
    const text = await server.mustKubectl(['get', 'leases', '-n', namespace, '-o', format]);
    return text.split('\n').filter((line) => line !== '');
  }

  async function copied(...webhooks: readonly Webhook[]): Promise<number> {
    let sum = 0;
    for (const webhook of webhooks) {
      const { body } = await webhook.get('/metrics');
      const count =
        /image_cloner_clones_total\{adapter="registry",result="copied",reason=""\} (\d+)/;
      sum += Number(count.exec(body)?.[1] ?? 0);
    }
    return sum;
  }

  it('two replicas copy an image once for forty concurrent reviews', async () => {
    await push('team/many:1');
    const [a, b] = await startTwo();

    const reviews = Array.from({ length: 40 }, (_, n) =>
      sendReview(n % 2 === 0 ? a : b, 'team/many:1'),
    );
    const answers = await Promise.all(reviews);

    assert.ok(answers.every(({ allowed }) => allowed));
    const digests = await uploaded();
    assert.deepEqual([digests.length, new Set(digests).size], [4, 4]);
    assert.equal(await copied(a, b), 1);
    assert.deepEqual(await held(), []);
  });

  it('two replicas report the same progress of a copy', async () => {
    await push('team/slow:1');
    const [a, b] = await startTwo();
    const hold = holdAmid();

    const first = await sendReview(a, 'team/slow:1', '4s');
    const second = await sendReview(b, 'team/slow:1', '5s');

    assert.deepEqual([first.status?.code, second.status?.code], [504, 504]);
    assert.match(String(first.status?.message), amount);
    assert.equal(
      amount.exec(String(second.status?.message))?.[0],
      amount.exec(String(first.status?.message))?.[0],
    );
    assert.match(String(await held()), /^pod-a_[0-9a-f]{8}$/);
    hold.release();
    assert.equal((await sendReview(b, 'team/slow:1')).allowed, true);
    assert.equal(await copied(a, b), 1);
    assert.deepEqual(await held(), []);
  });

  it('a replica takes over the copy of a killed replica', async () => {
    const digest = await push('team/killed:1');
    const [a, b] = await startTwo();
    const hold = holdAmid();
    const dying = sendReview(a, 'team/killed:1', '30s').catch(() => undefined);
    await hold.waiting();
    await sendReview(b, 'team/killed:1', '3s');

    await a.stop('SIGKILL');
    assert.equal(await dying, undefined);
    hold.release();
    // Retries as a client does after a 504.
    const answer = await eventually(
      'the other replica has finished the copy',
      async () => {
        const response = await sendReview(b, 'team/killed:1', '10s');
        return response.allowed ? response : undefined;
      },
      60_000,
    );

    assert.equal(answer.allowed, true);
    assert.equal(await backupOf(answer), digest);
    assert.ok(
      b
        .log()
        .some(({ msg }) => msg === 'took over the copy of a replica that does not renew its lease'),
    );
    const digests = await uploaded();
    assert.deepEqual([digests.length, new Set(digests).size], [4, 4]);
    assert.deepEqual(await held(), []);
  });

  it('a replica finishes its copy at SIGTERM and releases the Lease', async () => {
    const digest = await push('team/drained:1');
    const [a, b] = await startTwo();
    const hold = holdAmid();
    await sendReview(a, 'team/drained:1', '2s');
    await hold.waiting();
    const waiting = sendReview(b, 'team/drained:1', '20s');

    const end = a.stop('SIGTERM');
    await a.waitForLog(({ msg }) => msg === 'draining');
    assert.equal((await held()).length, 1);
    hold.release();

    assert.deepEqual(await end, { code: 0, signal: null });
    assert.equal(await backupOf(await waiting), digest);
    assert.deepEqual(await held(), []);
  });

  it('each replica copies for itself without permission for Leases, and logs it once', async () => {
    const digest = await push('team/alone:1');
    await server.mustKubectl(['create', 'serviceaccount', 'nobody', '-n', namespace]);
    const [a, b] = await startTwo('nobody');
    const isWarning = ({ msg }: Readonly<Record<string, unknown>>): boolean =>
      String(msg).startsWith('Leases of coordination.k8s.io are forbidden');
    await Promise.all([a.waitForLog(isWarning), b.waitForLog(isWarning)]);

    const answers = await Promise.all([
      sendReview(a, 'team/alone:1'),
      sendReview(b, 'team/alone:1'),
    ]);

    for (const answer of answers) assert.equal(await backupOf(answer), digest);
    assert.deepEqual(
      [a, b].map((each) => each.log().filter(isWarning).length),
      [1, 1],
    );
  });

  it('replicas continue to copy when the API server is down', async () => {
    const digest = await push('team/cut:1');
    const [a] = await startTwo();
    const hold = holdAmid();
    await sendReview(a, 'team/cut:1', '2s');
    await hold.waiting();

    await server.stop();
    hold.release();

    assert.equal(await backupOf(await sendReview(a, 'team/cut:1')), digest);
    const other = await push('team/after:1');
    assert.equal(await backupOf(await sendReview(a, 'team/after:1')), other);
  });
});
