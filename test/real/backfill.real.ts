import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import * as v from 'valibot';
import { type ApiServer, startApiServer } from './support/api-server.ts';
import { createAuthDir } from './support/auth-dir.ts';
import { type DockerDaemon, startDockerDaemon } from './support/docker-daemon.ts';
import { type Registry, startRegistry } from './support/docker-registry.ts';
import { type Gate, isBlobGet, startGate } from './support/gate.ts';
import { pushImage } from './support/images.ts';
import { createTempDir } from './support/janitor.ts';
import { launchProcess, type RunningProcess } from './support/process.ts';
import { createTls, type Tls } from './support/tls.ts';
import { startWebhook, type Webhook } from './support/webhook.ts';
import { registerWebhook } from './support/webhook-configuration.ts';

const root = join(import.meta.dirname, '../..');
const user = { name: 'acme', password: 's3"cr\\et+/é' };
const namespace = 'shop';
const enabled = { 'image-cloner': 'enabled' };

const podSpec = v.object({
  containers: v.array(v.object({ image: v.string() })),
  imagePullSecrets: v.optional(v.array(v.object({ name: v.string() }))),
});
const template = v.object({ spec: podSpec });
const objectSchema = v.object({
  metadata: v.object({
    resourceVersion: v.string(),
    labels: v.optional(v.record(v.string(), v.string()), {}),
    annotations: v.optional(v.record(v.string(), v.string()), {}),
    managedFields: v.array(v.looseObject({ manager: v.string(), fieldsV1: v.unknown() })),
  }),
  spec: v.object({
    template: v.optional(template),
    jobTemplate: v.optional(v.object({ spec: v.object({ template }) })),
  }),
});
type Stored = v.InferOutput<typeof objectSchema>;

interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

for (const cloner of ['registry', 'docker'] as const) {
  /** Runs the commands against a real API server, webhook and registries. */
  describe(`just backfill and just restore, CLONER=${cloner}`, () => {
    let source: Registry;
    let gate: Gate;
    let backup: Registry;
    let daemon: DockerDaemon;
    let apiServer: ApiServer;
    let tls: Tls;
    let webhook: Webhook;
    let env: Readonly<Record<string, string>>;
    let nginx: string;
    let redis: string;
    /** The DaemonSet as its owner applied it. */
    let untouched: Stored;

    before(async () => {
      const [authDir, ...servers] = await Promise.all([
        createAuthDir(user),
        startRegistry(),
        startRegistry({ users: [user] }),
        startApiServer(),
        createTls(),
        startDockerDaemon(),
      ]);
      [source, backup, apiServer, tls, daemon] = servers;
      gate = await startGate(source);
      env = {
        CLONER: cloner,
        REGISTRY: backup.host,
        REGISTRY_AUTH_DIR: authDir,
        DOCKER_HOST: daemon.dockerHost,
        BACKUP_PULL_SECRET: 'backup',
        // As an installation from before it had a value of its own.
        LABEL_VALUE: 'enabled',
      };
      nginx = `${gate.host}/library/nginx:1.27`;
      redis = `${gate.host}/library/redis:7`;
      await pushImage(source, 'library/nginx:1.27');
      await pushImage(source, 'library/redis:7');
      webhook = await startWebhook({ tls, env: { ...env, LOG_LEVEL: 'debug' } });

      await apiServer.createNamespace(namespace, enabled);
      await apiServer.createNamespace('elsewhere');
      // Like Flux: every field has an owner, so taking one over is a conflict.
      await apply(toDeployment('web', nginx));
      await apply(toDeployment('cache', redis));
      await apply(toDeployment('gone', `${gate.host}/library/gone:1`));
      await apply(toDeployment('opted-out', nginx, { 'image-cloner': 'disabled' }));
      await apply({ ...toDeployment('agent', nginx), kind: 'DaemonSet' });
      await apply(toCronJob('nightly', redis));
      await apply(toJob('once', nginx));
      await apply(toDeployment('web', nginx, {}, 'elsewhere'));
      untouched = await stored('daemonset', 'agent');
    });
    after(async () => {
      await webhook.stop();
      await Promise.all([apiServer.stop(), daemon.stop(), gate.stop()]);
      await Promise.all([source.stop(), backup.stop()]);
    });

    async function apply(manifest: object): Promise<void> {
      await apiServer.mustKubectl(
        ['apply', '--server-side', '--field-manager=flux', '--filename', '-'],
        JSON.stringify(manifest),
      );
    }

    async function stored(kind: string, name: string, where = namespace): Promise<Stored> {
      const json = await apiServer.mustKubectl([
        'get',
        kind,
        name,
        `--namespace=${where}`,
        '--show-managed-fields',
        '--output=json',
      ]);
      return v.parse(objectSchema, JSON.parse(json));
    }

    function imageOf({ spec }: Stored): string | undefined {
      const pod = spec.template ?? spec.jobTemplate?.spec.template;
      return pod?.spec.containers[0]?.image;
    }

    function launch(tool: string, args: readonly string[]): RunningProcess {
      return launchProcess({
        program: process.execPath,
        args: ['--import', 'tsx', `functions/${tool}/main.ts`, ...args],
        cwd: root,
        dir: createTempDir(tool),
        env: { ...env, KUBECONFIG: apiServer.kubeconfig },
      });
    }

    async function run(tool: string, ...args: readonly string[]): Promise<Run> {
      const running = launch(tool, args);
      const { code } = await running.waitForEnd();
      return { code, stdout: running.stdout(), stderr: running.stderr() };
    }

    async function writesToBackup(): Promise<number> {
      const all = await backup.requests();
      return all.filter(({ method, status }) => method === 'PUT' && status === 201).length;
    }

    const row = (...cells: readonly string[]): RegExp =>
      new RegExp(`^${cells.map((cell) => literally(cell)).join(' +')}$`, 'm');

    it('backfill without --apply reports its plan and writes nothing', async () => {
      const before = await stored('deployment', 'web');
      await backup.forgetRequests();

      const { code, stdout, stderr } = await run('backfill');

      assert.equal(code, 0, stderr);
      const lines = [
        row('IMAGE', 'WORKLOADS', 'STATUS'),
        row(nginx, 'shop deployment/web, shop daemonset/agent', 'would be copied'),
        row(redis, 'shop deployment/cache, shop cronjob/nightly', 'would be copied'),
        row(
          `${gate.host}/library/gone:1`,
          'shop deployment/gone',
          `refused: ${gate.host}/library/gone:1 does not exist on ${gate.host}`,
        ),
        row(nginx, 'shop deployment/opted-out', 'skipped: it is labelled image-cloner: disabled'),
        row(nginx, 'shop job/once', 'skipped: the template of a Job is immutable'),
      ];
      for (const line of lines) assert.match(stdout, line);
      assert.match(
        stdout,
        /^7 images of 7 workloads: 4 to change, 1 refused, 2 skipped: image-cloner backfill --apply\n$/m,
      );
      assert.ok(!stdout.includes('elsewhere'), stdout);
      assert.equal(await writesToBackup(), 0);
      assert.deepEqual(await stored('deployment', 'web'), before);
    });

    it('backfill rejects a namespace that is not opted in before it writes anything', async () => {
      const { code, stdout, stderr } = await run('backfill', '--apply', 'elsewhere', 'nowhere');

      assert.equal(code, 2);
      assert.equal(stdout, '');
      assert.match(
        stderr,
        /namespace elsewhere is not opted in: kubectl label namespace elsewhere image-cloner=enabled/,
      );
      assert.match(stderr, /namespace nowhere does not exist/);
    });

    it('backfill reports namespaces for which the API server does not call the webhook, and stops there', async () => {
      const { code, stdout } = await run('backfill', '--apply', '--rate=6000', namespace);

      assert.equal(code, 1, stdout);
      assert.match(
        stdout,
        /the API server does not call the webhook for deployments in shop: check that it is registered and that WORKLOADS has deployments/,
      );
      const annotations = await Promise.all(
        ['web', 'cache'].map(async (name) => {
          const { metadata } = await stored('deployment', name);
          return metadata.annotations['image-cloner/backfill'];
        }),
      );
      assert.equal(annotations.filter((value) => value !== undefined).length, 1);
      assert.equal(imageOf(await stored('deployment', 'web')), nginx);
    });

    it('backfill --apply rewrites all workloads and owns only its annotation', async () => {
      await register();
      const { code, stdout } = await run('backfill', '--apply', '--rate=6000');

      assert.equal(code, 1, stdout);
      assert.match(stdout, /^7 objects: 4 rewritten, 1 failed, 2 untouched$/m);
      assert.match(
        stdout,
        new RegExp(
          `^failed:\n {2}shop deployment/gone: container "main": ${literally(gate.host)}/library/gone:1 does not exist on`,
          'm',
        ),
      );
      for (const [kind, name, original] of [
        ['deployment', 'web', nginx],
        ['deployment', 'cache', redis],
        ['daemonset', 'agent', nginx],
        ['cronjob', 'nightly', redis],
      ] as const) {
        const object = await stored(kind, name);
        const image = imageOf(object) ?? '';
        assert.ok(image.startsWith(`${backup.host}/acme/`), `${kind}/${name}: ${image}`);
        assert.deepEqual(
          object.metadata.annotations['image-cloner/original-images'],
          JSON.stringify({ 'containers/main': original }),
        );
        const [, repository = '', tag = ''] = /^[^/]+\/(.+):([^:]+)$/.exec(image) ?? [];
        assert.notEqual(await backup.digest(repository, tag), undefined);
      }
      for (const [kind, name] of [
        ['deployment', 'gone'],
        ['deployment', 'opted-out'],
        ['job', 'once'],
      ] as const) {
        const { metadata } = await stored(kind, name);
        assert.equal(metadata.annotations['image-cloner/original-images'], undefined);
      }

      const { metadata } = await stored('daemonset', 'agent');
      const others = metadata.managedFields.filter(
        ({ manager }) => manager !== 'image-cloner-backfill',
      );
      assert.deepEqual(others, untouched.metadata.managedFields);
      const ours = metadata.managedFields.filter(
        ({ manager }) => manager === 'image-cloner-backfill',
      );
      assert.deepEqual(
        ours.map(({ fieldsV1 }) => fieldsV1),
        [
          {
            'f:metadata': {
              'f:annotations': { 'f:image-cloner/backfill': {} },
            },
          },
        ],
      );
    });

    it('lets the field owner apply its manifest after a backfill without conflict or change', async () => {
      const before = await stored('deployment', 'web');

      await apply(toDeployment('web', nginx));

      const after = await stored('deployment', 'web');
      assert.equal(imageOf(after), imageOf(before));
      assert.deepEqual(after.spec, before.spec);
    });

    it('backfill changes nothing in a second run', async () => {
      const before = await stored('deployment', 'web');
      await backup.forgetRequests();

      const { stdout } = await run('backfill', '--apply', '--rate=6000');

      assert.match(stdout, /^7 objects: 6 untouched, 1 failed$/m);
      assert.deepEqual(await stored('deployment', 'web'), before);
      assert.equal(await writesToBackup(), 0);
    });

    it('backfill --refresh copies moved tags and keeps their old generations', async () => {
      const object = await stored('deployment', 'web');
      const [, repository = ''] = /^[^/]+\/(.+):[^:]+$/.exec(imageOf(object) ?? '') ?? [];
      const held = await backup.digest(repository, '1.27');
      await pushImage(source, 'library/nginx:1.27', { seed: 'moved' });

      const report = await run('backfill', '--refresh');
      const applied = await run('backfill', '--apply', '--refresh', '--rate=6000');

      const image = imageOf(object) ?? '';
      assert.match(
        report.stdout,
        row(
          image,
          'shop deployment/web, shop daemonset/agent',
          'already rewritten; the tag has moved and would be copied',
        ),
      );
      assert.match(applied.stdout, /^shop deployment\/web: refreshed$/m);
      const now = await backup.digest(repository, '1.27');
      assert.notEqual(now, held);
      assert.equal(await backup.digest(repository, `1.27.${held?.slice(7, 19)}`), held);
      assert.deepEqual(await stored('deployment', 'web'), object);
    });

    it('backfill stops at Ctrl-C without partial work, and resumes in the next run', async () => {
      await pushImage(source, 'library/late:1');
      const image = `${gate.host}/library/late:1`;
      await apiServer.createNamespace('night', {});
      await apply(toDeployment('late', image, {}, 'night'));
      await apiServer.mustKubectl(['label', 'namespace', 'night', 'image-cloner=enabled']);
      const hold = gate.hold(isBlobGet);
      const running = launch('backfill', ['--apply', '--rate=6000', 'night']);
      await hold.waiting();

      const { code } = await running.stop('SIGINT');

      hold.release();
      assert.equal(code, 1, running.stderr());
      assert.match(running.stderr(), /stopping: completed work is kept/);
      assert.match(running.stdout(), /1 not reached/);
      assert.equal(imageOf(await stored('deployment', 'late', 'night')), image);
      const again = await run('backfill', '--apply', '--rate=6000', 'night');
      assert.equal(again.code, 0, again.stdout);
      assert.match(imageOf(await stored('deployment', 'late', 'night')) ?? '', /__late-\w+:1$/);
    });

    const moved = [
      ['deployment', 'web', () => nginx],
      ['deployment', 'cache', () => redis],
      ['daemonset', 'agent', () => nginx],
      ['cronjob', 'nightly', () => redis],
    ] as const;

    it('restore without --apply reports its plan and writes nothing', async () => {
      const before = await stored('deployment', 'web');

      const { code, stdout, stderr } = await run('restore', namespace);

      assert.equal(code, 0, stderr);
      const image = imageOf(before) ?? '';
      assert.match(
        stdout,
        row(image, 'shop deployment/web, shop daemonset/agent', `would become ${nginx}`),
      );
      assert.deepEqual(await stored('deployment', 'web'), before);
    });

    it('restore --apply writes the original images and opts the workloads out', async () => {
      const { code, stdout, stderr } = await run('restore', '--apply', '--rate=6000', namespace);

      assert.equal(code, 0, `${stdout}${stderr}`);
      assert.match(stdout, /^4 objects: 4 restored$/m);
      for (const [kind, name, original] of moved) {
        const object = await stored(kind, name);
        assert.equal(imageOf(object), original());
        assert.equal(object.metadata.labels['image-cloner'], 'disabled');
        assert.deepEqual(
          Object.keys(object.metadata.annotations).filter((key) => key.startsWith('image-cloner')),
          ['image-cloner/restored'],
        );
        const pod = object.spec.template ?? object.spec.jobTemplate?.spec.template;
        assert.equal(pod?.spec.imagePullSecrets, undefined);
        const managers = object.metadata.managedFields.map(({ manager }) => manager);
        assert.ok(!managers.includes('image-cloner-restore'), managers.join());
      }
    });

    it('restore changes nothing in a second run', async () => {
      const before = await stored('deployment', 'web');

      const { code, stdout } = await run('restore', '--apply', '--rate=6000', namespace);

      assert.equal(code, 0);
      assert.match(stdout, /^4 objects: 4 untouched$/m);
      assert.deepEqual(await stored('deployment', 'web'), before);
    });

    it('lets the field owner change images after a restore without a rewrite', async () => {
      await apply(toDeployment('web', redis));

      const object = await stored('deployment', 'web');
      assert.equal(imageOf(object), redis);
      assert.equal(object.metadata.labels['image-cloner'], 'disabled');
    });

    it('does not rewrite the Jobs of a restored CronJob', async () => {
      const job = ['job', 'by-hand', '--from=cronjob/nightly', `--namespace=${namespace}`];
      await apiServer.mustKubectl(['create', ...job]);

      assert.equal(imageOf(await stored('job', 'by-hand')), redis);
      await apiServer.mustKubectl(['delete', 'job', 'by-hand', `--namespace=${namespace}`]);
    });

    it('restore without a namespace restores all namespaces', async () => {
      const { code, stdout } = await run('restore', '--apply', '--rate=6000');

      assert.equal(code, 0, stdout);
      assert.match(stdout, /^night deployment\/late: restored$/m);
      assert.equal(
        imageOf(await stored('deployment', 'late', 'night')),
        `${gate.host}/library/late:1`,
      );
    });

    it('backfill says in one sentence that the backup is down, fails, and changes nothing', async () => {
      await backup.stop();

      const report = await run('backfill');
      const applied = await run('backfill', '--apply', '--rate=6000');

      assert.equal(report.code, 1, report.stderr);
      assert.match(
        report.stdout,
        new RegExp(`^the backup registry ${literally(backup.host)} cannot be reached for `, 'm'),
      );
      assert.match(report.stdout, /^1 of 1 images were not checked: run again$/m);
      assert.equal(applied.code, 1, applied.stderr);
      assert.match(applied.stdout, /^shop deployment\/gone: failed: .*the backup registry /m);
    });

    async function register(): Promise<void> {
      await registerWebhook(
        apiServer,
        {
          url: `${webhook.url}/clone-image`,
          caBundle: tls.caBundle,
          rules: [
            {
              operations: ['CREATE', 'UPDATE'],
              apiGroups: ['apps'],
              resources: ['deployments', 'daemonsets', 'statefulsets'],
            },
            {
              operations: ['CREATE', 'UPDATE'],
              apiGroups: ['batch'],
              resources: ['cronjobs', 'jobs'],
            },
          ],
        },
        () => webhook.log().some(({ msg }) => msg === 'review answered'),
      );
    }
  });
}

function literally(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
}

function toDeployment(
  name: string,
  image: string,
  labels: Readonly<Record<string, string>> = {},
  where = namespace,
): object {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: where, labels },
    spec: {
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: { containers: [{ name: 'main', image }] },
      },
    },
  };
}

function toJob(name: string, image: string): object {
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name, namespace },
    spec: { template: { spec: { containers: [{ name: 'main', image }], restartPolicy: 'Never' } } },
  };
}

function toCronJob(name: string, image: string): object {
  return {
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    metadata: { name, namespace },
    spec: {
      schedule: '0 3 * * *',
      jobTemplate: {
        spec: {
          template: { spec: { containers: [{ name: 'main', image }], restartPolicy: 'Never' } },
        },
      },
    },
  };
}
