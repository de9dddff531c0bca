import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import * as v from 'valibot';
import { pushImage } from './support/images.ts';
import { type InstalledWebhook, startInstalledWebhook } from './support/installed-webhook.ts';

const namespace = 'shop';

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
  let installed: InstalledWebhook;

  before(async () => {
    installed = await startInstalledWebhook({ namespaces: [namespace] });
    const { source, apiServer } = installed;
    for (const tag of ['1', '2', '3']) await pushImage(source, `team/web:${tag}`);
    await apiServer.mustKubectl(['create', ...inShop, '--filename=-'], toWeb());
    const { image } = await read();
    name = image.replace(/:1$/, '');
  });
  after(async () => {
    await installed.stop();
  });

  const inShop = [`--namespace=${namespace}`];
  const labels = { app: 'web' };
  /** The repository of the copy below `backups/`. */
  let name: string;

  function toWeb(): string {
    const containers = [{ name: 'web', image: `${installed.source.host}/team/web:1` }];
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
    const object: unknown = JSON.parse(await installed.apiServer.mustKubectl(args));
    const { metadata, spec } = v.parse(deploymentSchema, object);
    const [{ image }] = spec.template.spec.containers;
    const record = metadata.annotations['image-cloner/original-images'] ?? '';
    const { source, backup } = installed;
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
    const { code, stderr } = await installed.apiServer.kubectl(args);
    assert.equal(code, 0, stderr);
    return { ...(await read()), warnings: stderr };
  }

  function copyOf(tag: string): string {
    return `${installed.backup.host}/backups/${name}:${tag}`;
  }

  it('copies the original of a tag that the backup does not have', async () => {
    const edited = await set(copyOf('2'));

    assert.equal(edited.image, `${name}:2`);
    assert.equal(edited.original, '{"containers/web":"team/web:2"}');
    assert.notEqual(await installed.backup.digest(`backups/${name}`, '2'), undefined);
  });

  it('admits a tag that the backup has while the source is down', async () => {
    await installed.source.stop();

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
    const { webhook, source, backup, apiServer } = installed;
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
