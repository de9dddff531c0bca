import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { AppsV1Api, KubeConfig } from '@kubernetes/client-node';
import * as v from 'valibot';
import { type ApiServer, startApiServer } from './support/api-server.ts';
import { createAuthDir } from './support/auth-dir.ts';
import { type DockerDaemon, startDockerDaemon } from './support/docker-daemon.ts';
import { type Registry, startRegistry } from './support/docker-registry.ts';
import { type Gate, isBlobGet, isManifestRead, startGate } from './support/gate.ts';
import { pushImage } from './support/images.ts';
import { createTls, type Tls } from './support/tls.ts';
import { startWebhook, type Webhook } from './support/webhook.ts';
import { registerWebhook } from './support/webhook-configuration.ts';

const password = 's3"cr\\et+/é';
const namespace = 'shop';

const deploymentSchema = v.object({
  metadata: v.object({
    generation: v.number(),
    annotations: v.optional(v.record(v.string(), v.string()), {}),
  }),
  spec: v.object({
    template: v.object({
      metadata: v.object({ annotations: v.optional(v.record(v.string(), v.string())) }),
      spec: v.object({ containers: v.array(v.object({ image: v.string() })) }),
    }),
  }),
});
type Stored = v.InferOutput<typeof deploymentSchema>;

/** kubectl → kube-apiserver → webhook over HTTPS → dockerd → docker-registry with a password, all of them real. */
describe('the webhook with CLONER=docker behind a real API server', () => {
  let source: Registry;
  let gate: Gate;
  let backup: Registry;
  let daemon: DockerDaemon;
  let cleanDaemon: DockerDaemon;
  let apiServer: ApiServer;
  let tls: Tls;
  let authDir: string;
  let webhook: Webhook;

  before(async () => {
    [source, backup, apiServer, tls, authDir] = await Promise.all([
      startRegistry(),
      startRegistry({ users: [{ name: 'acme', password }] }),
      startApiServer(),
      createTls(),
      createAuthDir({ name: 'acme', password }),
    ]);
    gate = await startGate(source);
    daemon = await startDockerDaemon({ dockerHubMirror: gate.host });
    cleanDaemon = await startDockerDaemon();
    webhook = await start();
    await register(10);
    await apiServer.createNamespace(namespace, { 'image-cloner': 'enabled' });
  });
  after(async () => {
    await webhook.stop();
    await Promise.all([apiServer.stop(), daemon.stop(), cleanDaemon.stop(), gate.stop()]);
    await Promise.all([source.stop(), backup.stop()]);
  });

  function start(port?: number): Promise<Webhook> {
    return startWebhook({
      tls,
      ...(port !== undefined && { port }),
      env: {
        REGISTRY: backup.host,
        REGISTRY_AUTH_DIR: authDir,
        DOCKER_HOST: daemon.dockerHost,
        LOG_LEVEL: 'debug',
      },
    });
  }

  function register(timeoutSeconds: number): Promise<void> {
    const url = `${webhook.url}/clone-image`;
    const isReview = (line: Readonly<Record<string, unknown>>): boolean =>
      line['msg'] === 'review answered';
    return registerWebhook(apiServer, { url, caBundle: tls.caBundle, timeoutSeconds }, () =>
      webhook.log().some(isReview),
    );
  }

  function apply(
    name: string,
    image: string,
    flags: readonly string[] = [],
    labels: Readonly<Record<string, string>> = {},
  ): ReturnType<ApiServer['kubectl']> {
    const manifest = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, namespace, labels },
      spec: {
        selector: { matchLabels: { app: name } },
        template: {
          metadata: { labels: { app: name } },
          spec: { containers: [{ name: 'web', image }] },
        },
      },
    };
    return apiServer.kubectl(['apply', ...flags, '--filename', '-'], JSON.stringify(manifest));
  }

  async function stored(name: string): Promise<Stored> {
    const json = await apiServer.mustKubectl([
      'get',
      'deployment',
      name,
      `--namespace=${namespace}`,
      '--output=json',
    ]);
    return v.parse(deploymentSchema, JSON.parse(json));
  }

  async function storedImage(name: string): Promise<string | undefined> {
    return (await stored(name)).spec.template.spec.containers[0]?.image;
  }

  /** Requests that wrote layers and manifests into the backup. */
  async function writes(): Promise<readonly string[]> {
    const all = await backup.requests();
    return all
      .filter(({ method, status }) => method === 'PUT' && status === 201)
      .map(({ path }) => path);
  }

  it('rewrites a Deployment to a copy that another daemon can pull', async () => {
    await pushImage(source, 'library/nginx:1.27', { bytes: 200_000 });

    const { code, stderr } = await apply('web', 'nginx:1.27');

    assert.equal(code, 0, stderr);
    const { metadata, spec } = await stored('web');
    assert.equal(spec.template.spec.containers[0]?.image, `${backup.host}/acme/nginx:1.27`);
    assert.equal(
      metadata.annotations['image-cloner/original-images'],
      '{"containers/web":"nginx:1.27"}',
    );
    assert.equal(spec.template.metadata.annotations, undefined);
    const tags = await backup.tags('acme/nginx');
    const held = await backup.digest('acme/nginx', '1.27');
    assert.equal(tags.length, 3);
    assert.ok(tags.includes(`1.27.${held?.slice(7, 19)}`), tags.join());
    const login = ['login', '--username', 'acme', '--password', password, backup.host];
    assert.equal((await cleanDaemon.cli(login)).code, 0);
    const pulled = await cleanDaemon.cli(['pull', `${backup.host}/acme/nginx:1.27`]);
    assert.equal(pulled.code, 0, pulled.stderr);
  });

  it('leaves no image in the docker daemon after a copy', async () => {
    assert.deepEqual(await daemon.tags(), []);
  });

  it('starts no rollout when the same manifest is applied again', async () => {
    const before = await stored('web');
    await backup.forgetRequests();

    const { code, stderr } = await apply('web', 'nginx:1.27');

    assert.equal(code, 0, stderr);
    const after = await stored('web');
    assert.equal(after.metadata.generation, before.metadata.generation);
    assert.deepEqual(after.spec, before.spec);
    assert.deepEqual(await backup.requests(), []);
  });

  it('sends no registry request for an update without a changed image', async () => {
    await backup.forgetRequests();

    const { code, stderr } = await apply('web', 'nginx:1.27', [], { team: 'blue' });

    assert.equal(code, 0, stderr);
    assert.deepEqual(await backup.requests(), []);
    assert.equal(await storedImage('web'), `${backup.host}/acme/nginx:1.27`);
  });

  it('rewrites a Deployment again when its image changes', async () => {
    await pushImage(source, 'library/nginx:1.28');

    const { code, stderr } = await apply('web', 'nginx:1.28');

    assert.equal(code, 0, stderr);
    assert.equal(await storedImage('web'), `${backup.host}/acme/nginx:1.28`);
  });

  it('rewrites DaemonSets, and Deployments of clients other than kubectl', async () => {
    await pushImage(source, 'library/setup:1');
    const config = new KubeConfig();
    config.loadFromFile(apiServer.kubeconfig);
    const selector = { app: 'agent' };

    const { spec } = await config.makeApiClient(AppsV1Api).createNamespacedDaemonSet({
      namespace,
      body: {
        metadata: { name: 'agent' },
        spec: {
          selector: { matchLabels: selector },
          template: {
            metadata: { labels: selector },
            spec: {
              initContainers: [{ name: 'setup', image: 'setup:1' }],
              containers: [{ name: 'agent', image: 'nginx:1.27' }],
            },
          },
        },
      },
    });

    const { initContainers, containers } = spec?.template.spec ?? {};
    assert.equal(initContainers?.[0]?.image, `${backup.host}/acme/setup:1`);
    assert.equal(containers?.[0]?.image, `${backup.host}/acme/nginx:1.27`);
  });

  it('copies nothing on a server-side dry run, and returns the rewritten object', async () => {
    await pushImage(source, 'library/redis:7');
    await backup.forgetRequests();

    const { code, stdout, stderr } = await apply('dry', 'redis:7', [
      '--dry-run=server',
      '--output=jsonpath={.spec.template.spec.containers[0].image}',
    ]);

    assert.equal(code, 0, stderr);
    assert.equal(stdout, `${backup.host}/acme/redis:7`);
    assert.deepEqual(await writes(), []);
    assert.deepEqual(await backup.tags('acme/redis'), []);
  });

  it('denies an image that does not exist with a message in kubectl', async () => {
    const { code, stderr } = await apply('typo', `${gate.host}/library/nginx:9.99`);

    assert.notEqual(code, 0);
    const reason = `container "web": ${gate.host}/library/nginx:9.99 does not exist on ${gate.host}`;
    assert.ok(stderr.includes(`denied the request: ${reason}`), stderr);
  });

  it('warns in kubectl that dockerd copies only one platform of an index', async () => {
    await pushImage(source, 'library/multi:1', { platforms: ['linux/amd64', 'linux/arm64'] });

    const { code, stderr } = await apply('multi', 'multi:1');

    assert.equal(code, 0, stderr);
    assert.match(stderr, /Warning: multi:1: only the docker daemon's own platform is backed up/);
  });

  it('pins the copy of a pinned image to its own digest', async () => {
    const digest = await pushImage(source, 'library/pinned:1');

    const { code, stderr } = await apply('pinned', `pinned:1@${digest}`);

    assert.equal(code, 0, stderr);
    const image = await storedImage('pinned');
    const held = await backup.digest('acme/pinned', '1');
    assert.equal(image, `${backup.host}/acme/pinned:1@${held}`);
    assert.equal((await apply('pinned', `pinned:1@${digest}`)).code, 0);
    assert.equal((await stored('pinned')).metadata.generation, 1);
  });

  it('keeps the old generation when the source tag moves', async () => {
    await pushImage(source, 'library/moving:1', { seed: 'old' });
    assert.equal((await apply('moving-a', 'moving:1')).code, 0);
    const old = await backup.digest('acme/moving', '1');
    await pushImage(source, 'library/moving:1', { seed: 'new' });
    await restart();

    assert.equal((await apply('moving-b', 'moving:1')).code, 0);

    const now = await backup.digest('acme/moving', '1');
    assert.notEqual(now, old);
    assert.equal(await backup.digest('acme/moving', `1.${old?.slice(7, 19)}`), old);
  });

  it('does not overwrite a tag that image-cloner did not write', async () => {
    await pushImage(source, 'library/theirs:1', { seed: 'public' });
    const theirs = await pushImage(backup, 'acme/theirs:1', { seed: 'their own' });

    const { code, stderr } = await apply('theirs', 'theirs:1');

    assert.notEqual(code, 0);
    assert.match(stderr, /acme\/theirs:1 exists in the backup and was not written by image-cloner/);
    assert.match(stderr, /REGISTRY_NAMESPACE/);
    assert.equal(await backup.digest('acme/theirs', '1'), theirs);
  });

  it('copies an image once for twenty concurrent Deployments', async () => {
    await pushImage(source, 'library/crowd:1', { bytes: 500_000 });
    await backup.forgetRequests();
    const held = gate.hold(isBlobGet);
    const crowd = Array.from({ length: 20 }, (_, index) => apply(`crowd-${index}`, 'crowd:1'));
    await held.waiting();
    held.release();

    const results = await Promise.all(crowd);

    for (const { code, stderr } of results) assert.equal(code, 0, stderr);
    const written = await writes();
    const uploads = written.filter((path) => path.includes('/blobs/uploads/'));
    const manifests = written.filter((path) => path.includes('/manifests/'));
    assert.equal(uploads.length, 2, written.join('\n'));
    assert.equal(manifests.length, 3, written.join('\n'));
  });

  it('completes one kubectl apply whose copy exceeds the deadline', async () => {
    await pushImage(source, 'library/slow:1', { bytes: 3_000_000 });
    await register(2);
    const held = gate.hold(isBlobGet);
    const applied = apply('slow', 'slow:1');
    const { message } = await webhook.waitForLog((line) => line['verdict'] === 'retry');
    assert.match(String(message), /^container "web": still copying slow:1/);
    held.release();

    const { code, stderr } = await applied;

    assert.equal(code, 0, stderr);
    assert.equal(await storedImage('slow'), `${backup.host}/acme/slow:1`);
    await register(10);
  });

  it('reports a rejected backup password in kubectl, and uses a corrected one at once', async () => {
    await pushImage(source, 'library/refused:1');
    await writeFile(join(authDir, 'password'), 'wrong');

    const { code, stderr } = await apply('refused', 'refused:1');

    assert.notEqual(code, 0);
    assert.match(stderr, /the backup registry \S+ rejected the credentials in registry-auth/);
    await writeFile(join(authDir, 'password'), password);
    assert.equal((await apply('refused', 'refused:1')).code, 0);
  });

  it('copies nothing again after a restart and docker image prune', async () => {
    await restart();
    await daemon.cli(['image', 'prune', '--all', '--force']);
    await backup.forgetRequests();
    const layers = gate.requests(isBlobGet).length;

    const { code, stderr } = await apply('again', 'nginx:1.27');

    assert.equal(code, 0, stderr);
    assert.deepEqual(await writes(), []);
    assert.equal(gate.requests(isBlobGet).length, layers);
  });

  it('names the registry that limits the request rate', async () => {
    await pushImage(source, 'library/limited:1');
    const undo = gate.answer(isManifestRead, 429);

    const { code, stderr } = await apply('limited', `${gate.host}/library/limited:1`);
    undo();

    assert.notEqual(code, 0);
    assert.match(stderr, /rejected the request for \S+: rate limit/);
  });

  it('admits a Deployment from the backup when the source registry is down', async () => {
    await restart();
    await gate.stop();
    await source.stop();

    const { code, stderr } = await apply('survivor', 'nginx:1.27');

    assert.equal(code, 0, stderr);
    assert.match(stderr, /Warning: using the backup of nginx:1\.27: /);
    assert.equal(await storedImage('survivor'), `${backup.host}/acme/nginx:1.27`);
    await source.start();
  });

  it('names the backup registry in the denial when it is down', async () => {
    await backup.stop();

    const { code, stderr } = await apply('nowhere', 'nginx:1.27');
    await backup.start();

    assert.notEqual(code, 0);
    assert.match(stderr, /the backup registry \S+ cannot be reached/);
  });

  it('names the docker daemon in the denial when it is down', async () => {
    await daemon.stop();

    const { code, stderr } = await apply('nobody', 'nginx:1.27');
    await daemon.start();

    assert.notEqual(code, 0);
    assert.match(stderr, /the docker daemon cannot be reached/);
  });

  it('never logs the password of the backup, with CLONER=docker', () => {
    assert.ok(!JSON.stringify(webhook.log()).includes(JSON.stringify(password).slice(1, -1)));
  });

  async function restart(): Promise<void> {
    const port = Number(new URL(webhook.url).port);
    const { code } = await webhook.stop();
    assert.equal(code, 0);
    webhook = await start(port);
  }
});
