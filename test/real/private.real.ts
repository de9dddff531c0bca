import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type ApiServer, startApiServer } from './support/api-server.ts';
import { createAuthDir } from './support/auth-dir.ts';
import { type Registry, startRegistry } from './support/docker-registry.ts';
import { eventually } from './support/eventually.ts';
import { pushImage } from './support/images.ts';
import { createTempDir } from './support/janitor.ts';
import type { ProgramResult } from './support/program.ts';
import { createTls, type Tls } from './support/tls.ts';
import { startWebhook, type Webhook } from './support/webhook.ts';
import { registerWebhook } from './support/webhook-configuration.ts';

const reader = { name: 'reader', password: 'pa"ss\\wörd+/=' };
const writer = { name: 'acme', password: 's3"cr\\et+/é' };
const us = ['--namespace=image-cloner', 'image-cloner'];

/** kubectl → kube-apiserver with RBAC → webhook with PULL_SECRETS=true → docker-registry with passwords on both sides. */
describe('an image that needs a pull secret', () => {
  const dir = createTempDir('private');
  let apiServer: ApiServer;
  let source: Registry;
  let backup: Registry;
  let open: Registry;
  let tls: Tls;
  let authDir: string;
  let kubeconfig: string;
  let webhook: Webhook;

  before(async () => {
    [apiServer, source, backup, open, tls, authDir] = await Promise.all([
      startApiServer(),
      startRegistry({ users: [reader] }),
      startRegistry({ users: [writer] }),
      startRegistry(),
      createTls(),
      createAuthDir(writer),
    ]);
    await pushImage(source, 'team/app:1');
    await apiServer.createNamespace('image-cloner');
    await apiServer.mustKubectl(['create', 'serviceaccount', ...us]);
    const token = await apiServer.mustKubectl(['create', 'token', ...us]);
    kubeconfig = join(dir, 'kubeconfig');
    await writeFile(kubeconfig, await withToken(apiServer.kubeconfig, token.trim()));
    webhook = await start();
    for (const namespace of ['team', 'other']) await openNamespace(namespace);
    await giveSecret('team');
  });
  after(async () => {
    await webhook.stop();
    await Promise.all([apiServer.stop(), source.stop(), backup.stop(), open.stop()]);
  });

  async function start(registry: Registry = backup): Promise<Webhook> {
    const started = await startWebhook({
      tls,
      env: {
        CLONER: 'registry',
        REGISTRY: registry.host,
        REGISTRY_NAMESPACE: 'backups',
        REGISTRY_AUTH_DIR: authDir,
        PULL_SECRETS: 'true',
        CLUSTER_ID: 'blue',
        KUBECONFIG: kubeconfig,
      },
    });
    const url = `${started.url}/clone-image`;
    await registerWebhook(apiServer, { url, caBundle: tls.caBundle, timeoutSeconds: 30 }, () =>
      started.log().some((line) => line['msg'] === 'review answered'),
    );
    return started;
  }

  async function restart(registry?: Registry): Promise<void> {
    await webhook.stop('SIGKILL');
    webhook = await start(registry);
  }

  async function openNamespace(name: string): Promise<void> {
    await apiServer.createNamespace(name, { 'image-cloner': 'enabled' });
    await apiServer.mustKubectl(['apply', '-n', name, '-f', 'knative/pull-secrets.yaml']);
  }

  async function giveSecret(namespace: string): Promise<void> {
    await apiServer.mustKubectl([
      'create',
      'secret',
      'docker-registry',
      'pull',
      `--namespace=${namespace}`,
      `--docker-server=${source.host}`,
      `--docker-username=${reader.name}`,
      `--docker-password=${reader.password}`,
    ]);
  }

  async function create(namespace: string, name: string): Promise<ProgramResult> {
    const labels = { app: name };
    const spec = {
      containers: [{ name: 'web', image: `${source.host}/team/app:1` }],
      imagePullSecrets: [{ name: 'pull' }],
    };
    const deployment = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, namespace },
      spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
    };
    return await apiServer.kubectl(['create', '-f', '-'], JSON.stringify(deployment));
  }

  async function backupTags(): Promise<readonly string[]> {
    const repository = await backup.request('_catalog').then((answer) => answer.text());
    const [name = ''] = /backups\/[^"]+/.exec(repository) ?? [];
    return await backup.tags(name);
  }

  it('copies a private image for the namespace with the pull secret, and marks the copy as private', async () => {
    const { code, stderr } = await create('team', 'web');

    assert.equal(code, 0, stderr);
    const marks = (await backupTags()).filter((tag) => tag.startsWith('private.'));
    assert.equal(marks.length, 2, marks.join(' '));
  });

  it('serves a private copy only to its namespace when the source is down, also after a restart', async () => {
    await source.stop();
    await restart();

    const own = await create('team', 'again');
    const other = await create('other', 'web');

    assert.equal(own.code, 0, own.stderr);
    assert.match(own.stderr, /Warning: .*using the backup/);
    assert.equal(other.code, 1);
    assert.match(
      other.stderr,
      /its backup is private to the namespaces whose own pull secrets opened it, and "other" is not one of them/,
    );
    await source.start();
  });

  it('serves a private copy to another namespace after its own pull secret opened the source', async () => {
    await giveSecret('other');
    // The missing Secret stays cached for one second.
    await eventually(
      'its secret opens the source',
      async () => (await create('other', 'web')).code === 0,
    );
    await source.stop();
    await restart();

    const { code, stderr } = await create('other', 'again');

    assert.equal(code, 0, stderr);
    await source.start();
  });

  it('does not copy a private image into a public backup', async () => {
    await restart(open);

    const { code, stderr } = await create('team', 'public');

    assert.equal(code, 1);
    assert.match(
      stderr,
      /is private and anonymous clients can read .* in the backup: make the backup private/,
    );
    const layers = (await open.requests()).filter(
      ({ method, path }) => method === 'PUT' && path.includes('/blobs/'),
    );
    // The config of a mark has two bytes.
    assert.equal(layers.length, 1);
  });

  it('never logs a password of pull secrets', () => {
    const log = JSON.stringify(webhook.log()) + webhook.stderr();

    for (const { password } of [reader, writer]) assert.equal(log.includes(password), false);
  });
});

/** The administrator's kubeconfig with another user. */
async function withToken(file: string, token: string): Promise<string> {
  return (await readFile(file, 'utf8')).replace('"token":"admin"', `"token":"${token}"`);
}
