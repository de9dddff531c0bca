import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import * as v from 'valibot';
import { parseSettings } from '../../lib/install/settings.ts';
import { toWebhookConfiguration } from '../../lib/install/webhook-configuration.ts';
import { type ApiServer, startApiServer } from './support/api-server.ts';
import { createAuthDir } from './support/auth-dir.ts';
import { type Registry, startRegistry } from './support/docker-registry.ts';
import { eventually } from './support/eventually.ts';
import { pushImage } from './support/images.ts';
import { findFreePort } from './support/port.ts';
import { createTls, type Tls } from './support/tls.ts';
import { startWebhook, type Webhook } from './support/webhook.ts';

const namespace = 'shop';
const user = { name: 'acme', password: 'secret' };

const deploymentSchema = v.object({
  metadata: v.object({ annotations: v.optional(v.record(v.string(), v.string()), {}) }),
  spec: v.object({
    template: v.object({
      spec: v.object({ containers: v.tuple([v.object({ image: v.string() })]) }),
    }),
  }),
});

/** `kubectl set image` and `rollout undo` on a rewritten Deployment, with the webhook configuration that `deploy` registers. */
describe('an edited name of a copy', () => {
  let source: Registry;
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
    env = {
      CLONER: 'registry',
      REGISTRY: backup.host,
      REGISTRY_NAMESPACE: 'backups',
      REGISTRY_AUTH_DIR: authDir,
    };
    for (const tag of ['1', '2', '3']) await pushImage(source, `team/web:${tag}`);
    webhook = await startWebhook({ tls, env, port });
    const settings = parseSettings({ ...env, WEBHOOK_URL: `https://127.0.0.1:${port}` });
    await apiServer.createNamespace(namespace, { 'image-cloner': 'image-cloner' });
    await apiServer.mustKubectl(
      ['create', '--filename=-'],
      JSON.stringify(toWebhookConfiguration(settings, tls.ca)),
    );
    await eventually('the API server calls the webhook', async () => {
      await apiServer.kubectl(['create', ...inShop, '--dry-run=server', '--filename=-'], toWeb());
      return webhook.log().some(({ msg }) => msg === 'review answered');
    });
    await apiServer.mustKubectl(['create', ...inShop, '--filename=-'], toWeb());
    const { image } = await read();
    name = image.replace(/:1$/, '');
  });
  after(async () => {
    await webhook.stop();
    await Promise.all([apiServer.stop(), source.stop(), backup.stop()]);
  });

  const inShop = [`--namespace=${namespace}`];
  const labels = { app: 'web' };
  /** The repository of the copy below `backups/`. */
  let name: string;

  function toWeb(): string {
    const containers = [{ name: 'web', image: `${source.host}/team/web:1` }];
    return JSON.stringify({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'web' },
      spec: {
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers } },
      },
    });
  }

  /** The image of the stored Deployment without its backup, and the recorded original without its host. */
  async function read(): Promise<{ readonly image: string; readonly original: string }> {
    const args = ['get', 'deployment/web', ...inShop, '--output=json'];
    const object: unknown = JSON.parse(await apiServer.mustKubectl(args));
    const { metadata, spec } = v.parse(deploymentSchema, object);
    const [{ image }] = spec.template.spec.containers;
    const record = metadata.annotations['image-cloner/original-images'] ?? '';
    return {
      image: image.replace(`${backup.host}/backups/`, ''),
      original: record.replace(`${source.host}/`, ''),
    };
  }

  /** Resolves with the stored object and kubectl's warnings. */
  async function set(
    image: string,
  ): Promise<Awaited<ReturnType<typeof read>> & { readonly warnings: string }> {
    const args = ['set', 'image', 'deployment/web', `web=${image}`, ...inShop];
    const { code, stderr } = await apiServer.kubectl(args);
    assert.equal(code, 0, stderr);
    return { ...(await read()), warnings: stderr };
  }

  function copyOf(tag: string): string {
    return `${backup.host}/backups/${name}:${tag}`;
  }

  it('copies the original of a tag that the backup does not have', async () => {
    const edited = await set(copyOf('2'));

    assert.equal(edited.image, `${name}:2`);
    assert.equal(edited.original, '{"containers/web":"team/web:2"}');
    assert.notEqual(await backup.digest(`backups/${name}`, '2'), undefined);
  });

  it('admits a tag that the backup has while the source is down', async () => {
    await source.stop();

    const edited = await set(copyOf('1'));

    assert.deepEqual(edited, {
      image: `${name}:1`,
      original: '{"containers/web":"team/web:1"}',
      warnings: '',
    });
  });

  it('admits a tag that no registry has, with a warning', async () => {
    const { image, warnings } = await set(copyOf('77'));

    assert.equal(image, `${name}:77`);
    assert.match(warnings, /^Warning: not in the backup: /m);
  });

  it('passes while the webhook and both registries are down', async () => {
    await Promise.all([webhook.stop(), backup.stop()]);

    const { image } = await set(copyOf('1'));

    assert.equal(image, `${name}:1`);
    const outside = await apiServer.kubectl([
      'set',
      'image',
      'deployment/web',
      `web=${source.host}/team/web:3`,
      ...inShop,
    ]);
    assert.notEqual(outside.code, 0);
    assert.match(outside.stderr, /failed calling webhook/);
  });
});
