import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import * as v from 'valibot';
import { pushImage } from './support/images.ts';
import { type InstalledWebhook, startInstalledWebhook } from './support/installed-webhook.ts';
import { type ProgramResult, runProgram } from './support/program.ts';

const stringMap = v.optional(v.record(v.string(), v.string()), {});
const template = v.object({
  metadata: v.optional(v.object({ labels: stringMap }), {}),
  spec: v.object({
    containers: v.tuple([v.object({ image: v.string() })]),
    imagePullSecrets: v.optional(v.array(v.object({ name: v.string() })), []),
  }),
});
const objectSchema = v.object({
  metadata: v.object({ labels: stringMap, annotations: stringMap }),
  spec: v.union([
    v.object({ template }),
    v.pipe(
      v.object({ jobTemplate: v.object({ spec: v.object({ template }) }) }),
      v.transform(({ jobTemplate }) => jobTemplate.spec),
    ),
  ]),
});

/** The way out in an emergency: nothing but a kubeconfig, against the webhook configuration that `deploy` registers. */
describe('image-cloner restore from a shell without any variable', () => {
  let installed: InstalledWebhook;
  let original: string;
  let copy: string;

  before(async () => {
    installed = await startInstalledWebhook({ namespaces: ['shop', 'night'] });
    const { source, backup } = installed;
    await pushImage(source, 'team/web:1');
    original = `${source.host}/team/web:1`;
    for (const namespace of ['shop', 'night']) {
      await kubectl(
        'create',
        'deployment',
        'web',
        `--image=${original}`,
        `--namespace=${namespace}`,
      );
    }
    const cronJob = ['create', 'cronjob', 'nightly', '--schedule=0 3 * * *', '--namespace=shop'];
    await kubectl(...cronJob, `--image=${original}`);
    copy = (await read('deployment/web')).image;
    assert.ok(copy.startsWith(`${backup.host}/backups/`), copy);
  });
  after(async () => {
    await installed.stop();
  });

  async function kubectl(...args: readonly string[]): Promise<string> {
    return await installed.apiServer.mustKubectl(args);
  }

  async function read(
    object: string,
    namespace = 'shop',
  ): Promise<{
    readonly image: string;
    readonly labels: readonly string[];
    readonly annotations: readonly string[];
  }> {
    const json = await kubectl('get', object, `--namespace=${namespace}`, '--output=json');
    const { metadata, spec } = v.parse(objectSchema, JSON.parse(json));
    const pod = spec.template;
    return {
      image: pod.spec.containers[0].image,
      labels: [metadata.labels, pod.metadata.labels ?? {}].map(
        (labels) => labels['image-cloner'] ?? '',
      ),
      annotations: Object.keys(metadata.annotations)
        .filter((key) => key.startsWith('image-cloner/'))
        .toSorted(),
    };
  }

  async function restore(...args: readonly string[]): Promise<ProgramResult> {
    return await runProgram('node', ['--import', 'tsx', 'functions/restore/main.ts', ...args], {
      env: { KUBECONFIG: installed.apiServer.kubeconfig },
    });
  }

  it('restores workloads while the webhook and both registries are down under failurePolicy Fail', async () => {
    const { webhook, source, backup } = installed;
    await Promise.all([webhook.stop(), source.stop(), backup.stop()]);
    const other = ['create', 'deployment', 'other', `--image=${original}`, '--namespace=shop'];
    const refused = await installed.apiServer.kubectl(other);
    assert.match(refused.stderr, /failed calling webhook/);

    const report = await restore('shop');
    const applied = await restore('--apply', '--rate=6000', 'shop');

    assert.equal(report.code, 0, report.stderr);
    assert.match(report.stdout, /shop deployment\/web, shop cronjob\/nightly +would become/);
    assert.match(
      report.stdout,
      /^2 images of 2 workloads: 2 to change: image-cloner restore --apply shop$/m,
    );
    assert.equal(applied.code, 0, `${applied.stdout}${applied.stderr}`);
    assert.match(applied.stderr, /^context .*, installation image-cloner\/image-cloner/m);
    assert.match(applied.stdout, /^2 objects: 2 restored$/m);
    for (const object of ['deployment/web', 'cronjob/nightly']) {
      assert.deepEqual(await read(object), {
        image: original,
        labels: ['disabled', 'disabled'],
        annotations: ['image-cloner/restored'],
      });
    }
    assert.equal((await read('deployment/web', 'night')).image, copy);
  });

  it('--undo lists what it restored and has the webhook rewrite it again', async () => {
    await Promise.all([installed.source.start(), installed.backup.start()]);
    await installed.restart();

    const report = await restore('--undo');
    const applied = await restore('--undo', '--apply', '--rate=6000');

    assert.match(
      report.stdout,
      /^2 images of 2 workloads: 2 to change: image-cloner restore --apply --undo$/m,
    );
    assert.equal(applied.code, 0, `${applied.stdout}${applied.stderr}`);
    for (const object of ['deployment/web', 'cronjob/nightly']) {
      assert.deepEqual(await read(object), {
        image: copy,
        labels: ['', ''],
        annotations: ['image-cloner/backfill', 'image-cloner/original-images'],
      });
    }
  });

  it('restores all namespaces when nothing of the installation is left', async () => {
    await kubectl('delete', 'mutatingwebhookconfiguration', 'image-cloner');

    const { code, stdout, stderr } = await restore('--apply', '--rate=6000');

    assert.equal(code, 0, stderr);
    assert.match(stdout, /^3 objects: 3 restored$/m);
    assert.equal((await read('deployment/web', 'night')).image, original);
  });

  it('finds nothing to do after that', async () => {
    const { code, stdout } = await restore();

    assert.deepEqual({ code, stdout }, { code: 0, stdout: 'no workload holds a copy\n' });
  });
});
