import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import * as v from 'valibot';
import { parseDocument } from 'yaml';
import { createAuthDir } from '../support/auth-dir.ts';
import { type Cluster, openCluster } from '../support/cluster.ts';
import { type Registry, startRegistry } from '../support/docker-registry.ts';
import { eventually } from '../support/eventually.ts';
import { pushImage } from '../support/images.ts';
import { createTempDir } from '../support/janitor.ts';
import { findFreePort } from '../support/port.ts';
import { runOrThrow } from '../support/program.ts';
import { startWebhook, type Webhook } from '../support/webhook.ts';

const shop = 'market';
const own = 'image-cloner';

const metadata = v.object({
  name: v.string(),
  generation: v.number(),
  annotations: v.optional(v.record(v.string(), v.string()), {}),
});
/** All resources with a pod template. */
const carrier = v.object({
  metadata,
  spec: v.object({
    template: v.object({
      spec: v.object({
        containers: v.array(v.object({ name: v.optional(v.string()), image: v.string() })),
      }),
    }),
  }),
});
const revisionList = v.object({
  items: v.array(
    v.object({
      metadata,
      status: v.optional(
        v.object({
          containerStatuses: v.optional(
            v.array(v.object({ imageDigest: v.optional(v.string(), '') })),
            [],
          ),
        }),
        { containerStatuses: [] },
      ),
    }),
  ),
});
const carrierList = v.object({ items: v.array(carrier) });

/** The webhook with Knative's real controller, which creates Deployments. No pod runs. */
describe('the webhook with Knative Services', () => {
  let cluster: Cluster;
  let source: Registry;
  let backup: Registry;
  let webhook: Webhook;
  let original: string;
  let digest: string;

  before(async () => {
    cluster = openCluster();
    [source, backup] = await Promise.all([startRegistry(), startRegistry()]);
    original = `${source.host}/team/app:1`;
    digest = await pushImage(source, 'team/app:1');
    const port = await findFreePort();
    const outDir = createTempDir('certs');
    const registry = { REGISTRY: backup.host, REGISTRY_NAMESPACE: 'backups' };
    await runOrThrow('node', ['--import', 'tsx', 'functions/gen/main.ts'], {
      env: {
        OUT_DIR: outDir,
        WEBHOOK_URL: `https://127.0.0.1:${port}`,
        WORKLOADS:
          'deployments,replicasets,pods,services.serving.knative.dev,configurations.serving.knative.dev',
        ...registry,
      },
    });
    webhook = await startWebhook({
      port,
      tls: {
        ca: await readFile(join(outDir, 'ca.crt'), 'utf8'),
        certFile: join(outDir, 'tls.crt'),
        keyFile: join(outDir, 'tls.key'),
      },
      env: {
        ...registry,
        CLONER: 'registry',
        // The registry of queue-proxy, which runs in every pod of a Revision.
        INSECURE_REGISTRIES: process.env['REGISTRY_CACHE'] ?? '',
        REGISTRY_AUTH_DIR: await createAuthDir({ name: 'acme', password: 'unused' }),
      },
    });
    for (const namespace of [shop, own]) {
      const made = await cluster.kubectl(['create', 'namespace', namespace]);
      assert.ok(made.code === 0 || made.stderr.includes('AlreadyExists'), made.stderr);
    }
    await cluster.mustKubectl(['label', 'namespace', shop, 'image-cloner=image-cloner']);
    await cluster.mustKubectl(['create', '--filename', join(outDir, 'webhook.yaml')]);
    await eventually('the API server calls the webhook', async () => {
      const { stderr } = await cluster.kubectl(
        ['create', '--dry-run=server', `--namespace=${shop}`, '--filename=-'],
        toService('probe', 'image.invalid/probe:1'),
      );
      return stderr.includes('image.invalid');
    });
  });
  after(async () => {
    await cluster.kubectl(['delete', 'mutatingwebhookconfiguration', 'image-cloner']);
    await cluster.kubectl(['delete', 'ksvc', '--all', `--namespace=${shop}`]);
    await cluster.kubectl(['delete', 'ksvc', '--all', `--namespace=${own}`]);
    await webhook.stop();
    await Promise.all([source.stop(), backup.stop()]);
  });

  async function get<Schema extends v.GenericSchema>(
    schema: Schema,
    args: readonly string[],
    namespace = shop,
  ): Promise<v.InferOutput<Schema>> {
    const text = await cluster.mustKubectl([
      'get',
      ...args,
      `--namespace=${namespace}`,
      '--output=json',
    ]);
    return v.parse(schema, JSON.parse(text));
  }

  async function deploymentOf(
    name: string,
    namespace = shop,
  ): Promise<v.InferOutput<typeof carrier>> {
    return await eventually(`Knative has made a Deployment of ${name}`, async () => {
      const selector = `--selector=serving.knative.dev/service=${name}`;
      const { items } = await get(carrierList, ['deployments', selector], namespace);
      return items[0];
    });
  }

  function imagesOf({ spec }: v.InferOutput<typeof carrier>): readonly string[] {
    return spec.template.spec.containers.map(({ image }) => image);
  }

  it('rewrites a Knative Service and keeps the digest', async () => {
    await cluster.mustKubectl(
      ['apply', `--namespace=${shop}`, '--filename=-'],
      toService('app', original),
    );

    const service = await get(carrier, ['ksvc', 'app']);
    const [image = ''] = imagesOf(service);
    assert.match(image, /^127\.0\.0\.1:\d+\/backups\/\S+__team__app\S*:1$/);
    assert.ok(image.startsWith(backup.host), image);
    assert.ok(
      (service.metadata.annotations['image-cloner/original-images'] ?? '').includes(original),
    );
    const repository = image.slice(0, image.lastIndexOf(':'));
    const deployment = await deploymentOf('app');
    assert.equal(imagesOf(deployment)[0], `${repository}@${digest}`);
    await eventually('the Revision reports the digest', async () => {
      const { items } = await get(revisionList, ['revisions']);
      return items[0]?.status.containerStatuses[0]?.imageDigest === `${repository}@${digest}`;
    });
  });

  it('keeps a rewritten Knative Service unchanged over many reconciles', async () => {
    const before = await deploymentOf('app');

    for (let count = 0; count < 20; count += 1) {
      const note = `note=${count}`;
      const selector = '--selector=serving.knative.dev/service=app';
      await cluster.mustKubectl([
        'annotate',
        // A changed PodAutoscaler reconciles its Revision; annotations of the Revision itself would end up in its pods.
        'podautoscalers.autoscaling.internal.knative.dev,configurations',
        selector,
        '--overwrite',
        note,
        `--namespace=${shop}`,
      ]);
      await cluster.mustKubectl(
        ['apply', `--namespace=${shop}`, '--filename=-'],
        toService('app', original),
      );
    }

    const after = await deploymentOf('app');
    assert.equal(after.metadata.generation, before.metadata.generation);
    assert.deepEqual(imagesOf(after), imagesOf(before));
    const { items } = await get(revisionList, ['revisions']);
    assert.deepEqual(
      items.map(({ metadata }) => metadata.name),
      ['app-00001'],
    );
    assert.equal((await get(carrier, ['ksvc', 'app'])).metadata.generation, 1);
  });

  it('does not rewrite queue-proxy, which a Revision would revert', async () => {
    const [, queue = ''] = imagesOf(await deploymentOf('app'));

    assert.match(queue, /queue/);
    assert.ok(!queue.startsWith(backup.host), queue);
  });

  it('rewrites a Knative Service again when its image changes', async () => {
    await pushImage(source, 'team/app:2');
    await cluster.mustKubectl(
      ['apply', `--namespace=${shop}`, '--filename=-'],
      toService('app', `${source.host}/team/app:2`),
    );

    const { items } = await eventually('there is a second revision', async () => {
      const revisions = await get(revisionList, ['revisions']);
      return revisions.items.length > 1 && revisions;
    });
    assert.deepEqual(items.map(({ metadata }) => metadata.name).toSorted(), [
      'app-00001',
      'app-00002',
    ]);
  });

  it('never reviews its own Knative Service, nor the Deployment of it', async () => {
    const overlay = await cluster.mustKubectl(['kustomize', 'knative/registry']);
    const manifest = parseDocument(overlay);
    const image = `${source.host}/tools/image-cloner:1`;
    await pushImage(source, 'tools/image-cloner:1');
    manifest.setIn(['spec', 'template', 'spec', 'containers', 0, 'image'], image);
    const file = join(createTempDir('own'), 'service.yaml');
    await writeFile(file, String(manifest));
    await cluster.kubectl(['create', 'serviceaccount', own, `--namespace=${own}`]);
    // A wrong or malicious label.
    await cluster.mustKubectl([
      'label',
      'namespace',
      own,
      'image-cloner=image-cloner',
      '--overwrite',
    ]);

    await cluster.mustKubectl(['apply', '--filename', file]);

    const deployment = await deploymentOf('image-cloner', own);
    assert.match(imagesOf(deployment)[0] ?? '', /\/tools\/image-cloner@sha256:/);
    const reviews = webhook.log().filter((line) => line['namespace'] === own);
    assert.deepEqual(reviews, []);
    await cluster.mustKubectl(['label', 'namespace', own, 'image-cloner-']);
  });
});

function toService(name: string, image: string): object {
  return {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Service',
    metadata: { name },
    spec: { template: { spec: { containers: [{ image }] } } },
  };
}
