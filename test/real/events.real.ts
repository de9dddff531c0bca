import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parseSettings } from '../../lib/install/settings.ts';
import { toWebhookConfiguration } from '../../lib/install/webhook-configuration.ts';
import { type ApiServer, startApiServer } from './support/api-server.ts';
import { createAuthDir } from './support/auth-dir.ts';
import { type Registry, startRegistry } from './support/docker-registry.ts';
import { eventually } from './support/eventually.ts';
import { type Gate, isBlobGet, startGate } from './support/gate.ts';
import { pushImage } from './support/images.ts';
import { createTempDir } from './support/janitor.ts';
import { writeKubeconfig } from './support/kubeconfig.ts';
import { findFreePort } from './support/port.ts';
import { createTls, type Tls } from './support/tls.ts';
import { startWebhook, type Webhook } from './support/webhook.ts';

const own = 'image-cloner';
const user = { name: 'acme', password: 'secret' };

/** What `kubectl describe` and `kubectl get events` show, with the rights of knative/events.yaml. */
describe('Kubernetes Events', () => {
  let source: Registry;
  let gate: Gate;
  let backup: Registry;
  let apiServer: ApiServer;
  let tls: Tls;
  let env: Readonly<Record<string, string>>;
  let port: number;
  let webhook: Webhook;

  before(async () => {
    let authDir: string;
    [source, backup, apiServer, tls, authDir, port] = await Promise.all([
      startRegistry(),
      startRegistry({ users: [user] }),
      startApiServer(),
      createTls(),
      createAuthDir(user),
      findFreePort(),
    ]);
    gate = await startGate(source);
    for (const name of ['web', 'slow', 'other']) await pushImage(source, `team/${name}:1`);
    await apiServer.createNamespace(own);
    for (const name of ['image-cloner', 'without-rights']) {
      await apiServer.mustKubectl(['create', 'serviceaccount', name, `--namespace=${own}`]);
    }
    await apiServer.mustKubectl(
      ['create', '--filename=-'],
      await readFile('knative/events.yaml', 'utf8'),
    );
    env = {
      CLONER: 'registry',
      REGISTRY: backup.host,
      REGISTRY_NAMESPACE: 'backups',
      REGISTRY_AUTH_DIR: authDir,
      INSECURE_REGISTRIES: [backup.host, gate.host].join(','),
      KUBERNETES_SERVICE_HOST: '127.0.0.1',
      STATUS_PORT: '0',
    };
    webhook = await start('image-cloner');
    const settings = parseSettings({
      ...env,
      WEBHOOK_URL: `https://127.0.0.1:${port}`,
      TIMEOUT_SECONDS: '3',
    });
    for (const name of ['shop', 'quiet']) {
      await apiServer.createNamespace(name, { 'image-cloner': 'image-cloner' });
    }
    await apiServer.mustKubectl(
      ['create', '--filename=-'],
      JSON.stringify(toWebhookConfiguration(settings, tls.ca)),
    );
    await eventually('the API server calls the webhook', async () => {
      await create('quiet', 'probe', 'team/web:1', ['--dry-run=server']);
      return webhook.log().some(({ msg }) => msg === 'review answered');
    });
  });
  after(async () => {
    await webhook.stop();
    await Promise.all([apiServer.stop(), gate.stop(), source.stop(), backup.stop()]);
  });

  async function start(account: string, more: typeof env = {}): Promise<Webhook> {
    const token = await apiServer.mustKubectl(['create', 'token', account, `--namespace=${own}`]);
    const file = join(createTempDir('events'), 'kubeconfig');
    const KUBECONFIG = await writeKubeconfig({
      file,
      url: apiServer.url,
      token: token.trim(),
      namespace: own,
    });
    return await startWebhook({ tls, port, env: { ...env, KUBECONFIG, ...more } });
  }

  async function create(
    namespace: string,
    name: string,
    image: string,
    flags: readonly string[] = [],
  ): Promise<string> {
    const labels = { app: name };
    const containers = [{ name: 'web', image: `${gate.host}/${image}` }];
    const manifest = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name },
      spec: {
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers } },
      },
    };
    const args = ['create', `--namespace=${namespace}`, ...flags, '--filename=-'];
    return (await apiServer.kubectl(args, JSON.stringify(manifest))).stderr;
  }

  async function setImage(name: string, image: string): Promise<void> {
    const target = ['deployment', name, `web=${gate.host}/${image}`];
    await apiServer.kubectl([
      'set',
      'image',
      ...target,
      '--namespace=shop',
      '--request-timeout=5s',
    ]);
  }

  async function describeWeb(): Promise<string> {
    return await apiServer.mustKubectl(['describe', 'deployment', 'web', '--namespace=shop']);
  }

  async function listEvents(namespace: string): Promise<string> {
    return await apiServer.mustKubectl(['get', 'events', `--namespace=${namespace}`]);
  }

  it('a refused new object is seen at its namespace', async () => {
    assert.match(await create('shop', 'none', 'team/none:1'), /denied the request/);

    await eventually('the Event is listed', async () =>
      /Warning +Refused +namespace\/shop +Deployment none: .*team\/none:1 does not exist/.test(
        await listEvents('shop'),
      ),
    );
    assert.match(await apiServer.mustKubectl(['get', 'events', '--namespace=default']), /^$/);
  });

  it('kubectl describe shows a copy that goes on behind the answer, and that it is done', async () => {
    assert.equal(await create('shop', 'web', 'team/web:1'), '');
    const held = gate.hold(isBlobGet);

    const updated = setImage('web', 'team/slow:1');
    await eventually('the copy is told', async () =>
      /Normal +Copying .*image-cloner +copying \S+team\/slow:1 into the backup/.test(
        await describeWeb(),
      ),
    );
    held.release();
    await updated;

    await eventually('the end of the copy is told', async () =>
      /Normal +Copied .* copied \S+team\/slow:1 into the backup/.test(await describeWeb()),
    );
  });

  it('kubectl describe shows that a backup is used because its source failed', async () => {
    await create('quiet', 'warm', 'team/other:1');
    const reopen = gate.answer(({ path }) => path.includes('/manifests/'), 500);

    await setImage('web', 'team/other:1');

    await eventually('the fallback is told', async () =>
      /Warning +UsedBackup .* using the backup of \S+team\/other:1/.test(await describeWeb()),
    );
    reopen();
  });

  it('a dry run writes no Event', async () => {
    const before = await listEvents('quiet');

    assert.match(await create('quiet', 'dry', 'team/none:1', ['--dry-run=server']), /denied/);
    assert.match(await create('shop', 'marker', 'team/none:2'), /denied/);

    await eventually('a later Event is listed', async () =>
      /Deployment marker: /.test(await listEvents('shop')),
    );
    assert.equal(await listEvents('quiet'), before);
  });

  it('without the right, and with EVENTS=false, reviews go on without Events', async () => {
    await webhook.stop();
    webhook = await start('without-rights');
    assert.match(await create('shop', 'first', 'team/none:3'), /denied the request/);
    await webhook.waitForLog(({ msg }) => /no right to create Events/.test(String(msg)));
    await webhook.stop();

    webhook = await start('image-cloner', { EVENTS: 'false' });
    assert.match(await create('shop', 'second', 'team/none:4'), /denied the request/);

    assert.doesNotMatch(await listEvents('shop'), /Deployment (first|second): /);
  });
});
