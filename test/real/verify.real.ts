import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import * as v from 'valibot';
import { toSettingsRecord } from '../../lib/install/record/index.ts';
import { pushImage } from './support/images.ts';
import { type InstalledWebhook, startInstalledWebhook } from './support/installed-webhook.ts';
import { createTempDir } from './support/janitor.ts';
import { writeKubeconfig } from './support/kubeconfig.ts';
import { type ProgramResult, runProgram } from './support/program.ts';

const pullSecret = 'backup';
const document = v.object({
  workloads: v.record(v.string(), v.number()),
  images: v.array(
    v.object({
      namespace: v.string(),
      object: v.string(),
      state: v.string(),
      source: v.optional(v.string()),
    }),
  ),
});
const deployment = v.object({
  spec: v.object({
    template: v.object({
      spec: v.object({ containers: v.array(v.object({ image: v.string() })) }),
    }),
  }),
});
const manifest = v.object({
  layers: v.tupleWithRest([v.object({ digest: v.string() })], v.unknown()),
});

/** The drill, on a real API server, with copies in a real registry. */
describe('image-cloner verify', () => {
  let installed: InstalledWebhook;

  before(async () => {
    installed = await startInstalledWebhook({
      namespaces: ['shop', 'night'],
      env: { BACKUP_PULL_SECRET: pullSecret },
    });
    const { source, apiServer, backup } = installed;
    await apiServer.createNamespace('late');
    await createPullSecret('shop', 'secret');
    await createPullSecret('night', 'another');
    for (const name of ['web', 'cache', 'gone', 'moved', 'removed']) {
      await pushImage(source, `team/${name}:1`);
    }
    for (const name of ['web', 'cache', 'gone', 'moved', 'removed']) await create('shop', name);
    await create('night', 'web');
    await create('late', 'web');
    assert.ok((await imageOf('web')).startsWith(`${backup.host}/backups/`));
  });
  after(async () => {
    await installed.stop();
  });

  async function kubectl(...args: readonly string[]): Promise<string> {
    return await installed.apiServer.mustKubectl(args);
  }

  async function create(namespace: string, name: string): Promise<void> {
    const image = `--image=${installed.source.host}/team/${name}:1`;
    await kubectl('create', 'deployment', name, image, `--namespace=${namespace}`);
  }

  async function createPullSecret(namespace: string, password: string): Promise<void> {
    await kubectl(
      'create',
      'secret',
      'docker-registry',
      pullSecret,
      `--namespace=${namespace}`,
      `--docker-server=${installed.backup.host}`,
      '--docker-username=acme',
      `--docker-password=${password}`,
    );
  }

  async function imageOf(name: string): Promise<string> {
    const json = await kubectl('get', 'deployment', name, '--namespace=shop', '--output=json');
    return v.parse(deployment, JSON.parse(json)).spec.template.spec.containers[0]?.image ?? '';
  }

  /** The repository of a copy, below `/v2/`. */
  async function repositoryOf(name: string): Promise<string> {
    const [, path = ''] = /^[^/]+\/(.+):1$/.exec(await imageOf(name)) ?? [];
    return path;
  }

  async function run(program: string, ...args: readonly string[]): Promise<ProgramResult> {
    const main = `functions/${program}/main.ts`;
    return await runProgram('node', ['--import', 'tsx', main, ...args], {
      env: { ...installed.env, KUBECONFIG: installed.apiServer.kubeconfig },
    });
  }

  it('verify exits with 0 if every copy is whole and can be pulled, whatever the sources have', async () => {
    const { source } = installed;
    await source.remove('team/gone', '1');
    await pushImage(source, 'team/moved:1', { seed: 'another' });

    const { code, stdout, stderr } = await run('verify', 'shop');

    assert.equal(code, 0, `${stdout}${stderr}`);
    assert.match(stderr, /^context .*, installation image-cloner\/image-cloner/m);
    assert.match(stdout, /^IMAGE +WORKLOADS +BACKUP +SOURCE$/m);
    for (const [name, state] of [
      ['web', 'same'],
      ['gone', 'gone'],
      ['moved', 'moved'],
    ] as const) {
      const line = new RegExp(
        `^${await imageOf(name)} +shop deployment/${name} +whole +${state}$`,
        'm',
      );
      assert.match(stdout, line);
    }
    assert.match(stdout, /^5 of 5 workloads would start if every public registry were gone\n$/m);
  });

  it('verify names lost layers, removed tags, wrong pull secrets and objects without a copy, the worst first', async () => {
    const { backup } = installed;
    const cache = await repositoryOf('cache');
    const served = await backup.request(`${cache}/manifests/1`, {
      headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
    });
    const [layer] = v.parse(manifest, await served.json()).layers;
    const deleted = await backup.request(`${cache}/blobs/${layer.digest}`, { method: 'DELETE' });
    assert.equal(deleted.status, 202);
    await backup.remove(await repositoryOf('removed'), '1');
    await kubectl('label', 'namespace', 'late', 'image-cloner=image-cloner');
    const metrics = join(createTempDir('metrics'), 'image-cloner.prom');

    const { code, stdout } = await run('verify', '--metrics', metrics);

    assert.equal(code, 1, stdout);
    const order = [
      /^\S+\/team\/web:1 +late deployment\/web +the object names no copy +-$/m,
      /^\S+ +shop deployment\/removed +the backup does not have \S+ +-$/m,
      /^\S+ +shop deployment\/cache +the backup has lost parts of it +same$/m,
      /^\S+ +night deployment\/web +the backup refuses the pull secrets of the pod +same$/m,
      /^\S+ +shop deployment\/web +whole +same$/m,
    ].map((row) => stdout.search(row));
    assert.deepEqual(
      order,
      order.toSorted((a, b) => a - b),
      stdout,
    );
    assert.ok(!order.includes(-1), stdout);
    assert.match(
      stdout,
      /^3 of 7 workloads would start if every public registry were gone; 4 would not\nto copy what is missing: image-cloner backfill --refresh --apply\nfor a pull secret: image-cloner pull-secret NAMESPACE\n$/m,
    );
    const text = await readFile(metrics, 'utf8');
    assert.match(text, /^image_cloner_verify_workloads\{verdict="fails"\} 4$/m);
    assert.match(text, /^image_cloner_verify_images\{state="incomplete"\} 1$/m);
  });

  it('verify --json prints one document with the state of each image', async () => {
    const { code, stdout } = await run('verify', '--json', 'shop');

    assert.equal(code, 1);
    const { workloads, images } = v.parse(document, JSON.parse(stdout));
    assert.deepEqual(workloads, { starts: 3, fails: 2, unknown: 0, skipped: 0 });
    assert.deepEqual(
      images.map(({ object, state, source = '-' }) => `${object} ${state} ${source}`).toSorted(),
      [
        'deployment/cache incomplete same',
        'deployment/gone whole gone',
        'deployment/moved whole moved',
        'deployment/removed absent -',
        'deployment/web whole same',
      ],
    );
  });

  it('the command that verify prints copies what is missing', async () => {
    const copied = await run(
      'backfill',
      '--refresh',
      '--apply',
      '--rate=6000',
      '--no-wait',
      'shop',
    );

    const { code, stdout } = await run('verify', '--no-sources', 'shop');

    assert.equal(code, 0, `${copied.stdout}${copied.stderr}${stdout}`);
    assert.match(stdout, /^5 of 5 workloads would start/m);
  });

  it('the CronJob has the rights that verify needs, and reads pull secrets only where pull-secret allowed it', async () => {
    const { apiServer, env } = installed;
    await apiServer.createNamespace('image-cloner');
    const record = toSettingsRecord(
      { name: 'image-cloner', namespace: 'image-cloner' },
      {
        REGISTRY: env['REGISTRY'] ?? '',
        REGISTRY_NAMESPACE: 'backups',
        BACKUP_PULL_SECRET: pullSecret,
      },
    );
    await apiServer.mustKubectl(['create', '--filename=-'], JSON.stringify(record));
    await kubectl('apply', '--filename=knative/monitoring/verify.yaml');
    await kubectl('apply', '--filename=knative/pull-secrets.yaml', '--namespace=night');
    const account = ['image-cloner-verify', '--namespace=image-cloner'];
    const token = (await kubectl('create', 'token', ...account)).trim();
    const file = join(createTempDir('account'), 'kubeconfig');
    const KUBECONFIG = await writeKubeconfig({ file, url: apiServer.url, token });

    const { code, stdout, stderr } = await runProgram(
      'node',
      ['--import', 'tsx', 'functions/verify/main.ts'],
      { env: { KUBECONFIG, REGISTRY_AUTH_DIR: env['REGISTRY_AUTH_DIR'] ?? '' } },
    );

    assert.equal(code, 1, stderr);
    assert.match(
      stdout,
      /shop deployment\/web +whole; not pulled: RBAC denies its pull secrets: run "just pull-secret shop" +same$/m,
    );
    assert.match(
      stdout,
      /night deployment\/web +the backup refuses the pull secrets of the pod +same$/m,
    );
    assert.match(stdout, /^5 of 7 workloads would start .*; 2 would not$/m);
    const may = async (...args: readonly string[]): Promise<boolean> => {
      const as = '--as=system:serviceaccount:image-cloner:image-cloner-verify';
      return (await apiServer.kubectl(['auth', 'can-i', ...args, as, '-q'])).code === 0;
    };
    assert.equal(await may('get', 'secrets', '--namespace=image-cloner'), false);
    assert.equal(await may('patch', 'deployments', '--namespace=shop'), false);
  });

  it('verify says in one sentence that the backup is down, and exits with 1', async () => {
    await installed.backup.stop();

    const { code, stdout } = await run('verify', 'shop');

    assert.equal(code, 1);
    assert.match(stdout, /^0 of 5 workloads would start .*; 5 could not be checked$/m);
    const sentences = stdout.split('\n').filter((line) => line.startsWith('the backup registry'));
    assert.equal(sentences.length, 1, stdout);
    await installed.backup.start();
  });
});
