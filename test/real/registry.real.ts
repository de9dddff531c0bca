import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parseReviewResponse } from '../../functions/demo/create-object.ts';
import { createAuthDir } from './support/auth-dir.ts';
import { type DockerDaemon, startDockerDaemon } from './support/docker-daemon.ts';
import { manifestTypes, type Registry, startRegistry } from './support/docker-registry.ts';
import { type Gate, isBlobGet, startGate } from './support/gate.ts';
import { pushImage } from './support/images.ts';
import { createTempDir } from './support/janitor.ts';
import { runOrThrow } from './support/program.ts';
import { startWebhook, type Webhook } from './support/webhook.ts';

const user = { name: 'acme', password: 's3"cr\\et+/é' };
const insecure = ['--src-tls-verify=false', '--dest-tls-verify=false'];

/** The webhook with CLONER=registry between real registries; third-party clients check the results. */
describe('the webhook with CLONER=registry between real registries', () => {
  let source: Registry;
  let backup: Registry;
  let gate: Gate;
  let webhook: Webhook;
  let daemon: DockerDaemon;
  let authDir: string;
  let dir: string;

  const backupDir = createTempDir('backup');

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'registry-real-'));
    [source, backup, daemon, authDir] = await Promise.all([
      startRegistry(),
      startRegistry({ users: [user], dir: backupDir }),
      startDockerDaemon(),
      createAuthDir(user),
    ]);
    gate = await startGate(source);
    const login = ['login', '--username', user.name, '--password', user.password, backup.host];
    assert.equal((await daemon.cli(login)).code, 0);
    const auth = Buffer.from(`${user.name}:${user.password}`).toString('base64');
    await writeFile(
      join(dir, 'config.json'),
      JSON.stringify({ auths: { [backup.host]: { auth } } }),
    );
    webhook = await start();
  });
  after(async () => {
    await webhook.stop();
    await Promise.all([daemon.stop(), gate.stop(), source.stop(), backup.stop()]);
    await rm(dir, { recursive: true });
  });

  function start(): Promise<Webhook> {
    return startWebhook({
      env: {
        CLONER: 'registry',
        REGISTRY: backup.host,
        REGISTRY_NAMESPACE: 'copies',
        REGISTRY_AUTH_DIR: authDir,
        NAMING: 'nested',
        LOG_LEVEL: 'debug',
      },
    });
  }

  interface Verdict {
    readonly allowed: boolean;
    readonly code: number;
    readonly message: string;
    readonly warnings: readonly string[];
    /** The image in the patched object. */
    readonly image: string;
    /** Repository and tag of that image. */
    readonly at: readonly [repository: string, tag: string];
  }

  async function review(original: string, timeout = '30s'): Promise<Verdict> {
    const spec = { containers: [{ name: 'web', image: original }] };
    const request = {
      uid: 'u',
      kind: { group: '', version: 'v1', kind: 'Pod' },
      operation: 'CREATE',
      object: { metadata: {}, spec },
    };
    const body = { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request };
    const answer = await webhook.review(body, timeout);
    const { allowed, status, warnings, patch } = parseReviewResponse(answer.body);
    const written = patch.find(({ op }) => op === 'replace')?.value;
    const image = typeof written === 'string' ? written : '';
    const [, repository = '', tag = ''] = /^[^/]+\/([^@]+):([^@:]+)(?:@.*)?$/.exec(image) ?? [];
    const { code = 200, message = '' } = status ?? {};
    return { allowed, code, message, warnings, image, at: [repository, tag] };
  }

  async function validate(image: string): Promise<void> {
    await runOrThrow('crane', ['validate', '--insecure', '--remote', image], {
      env: { DOCKER_CONFIG: dir },
    });
  }

  const shapes = [
    ['one platform', 'shape/single:1', { bytes: 50_000 }],
    ['docker’s own types', 'shape/docker:1', { format: 'docker' }],
    ['an index', 'shape/index:1', { platforms: ['linux/amd64', 'linux/arm64', 'linux/arm/v7'] }],
    [
      'docker’s list',
      'shape/list:1',
      { platforms: ['linux/amd64', 'linux/s390x'], format: 'docker' },
    ],
  ] as const;
  for (const [what, name, options] of shapes) {
    it(`copies ${what} unchanged between real registries`, async () => {
      const digest = await pushImage(source, name, options);

      const { allowed, message, image, at } = await review(`${source.host}/${name}`);

      assert.equal(allowed, true, message);
      assert.equal(await backup.digest(...at), digest);
      await validate(image);
      const pulled = await daemon.cli(['pull', image]);
      assert.equal(pulled.code, 0, pulled.stderr);
    });
  }

  it('copies images of skopeo, crane and docker byte for byte', async () => {
    await pushImage(source, 'made/base:1');
    const base = `${source.host}/made/base:1`;
    await runOrThrow('skopeo', [
      'copy',
      ...insecure,
      '--format=v2s2',
      `docker://${base}`,
      `docker://${source.host}/made/skopeo:1`,
    ]);
    await runOrThrow('crane', [
      'index',
      'append',
      '--insecure',
      '-m',
      base,
      '-t',
      `${source.host}/made/crane:1`,
    ]);
    await daemon.cli(['pull', base]);
    await daemon.cli(['tag', base, `${source.host}/made/docker:1`]);
    assert.equal((await daemon.cli(['push', `${source.host}/made/docker:1`])).code, 0);

    for (const name of ['made/skopeo:1', 'made/crane:1', 'made/docker:1']) {
      const { allowed, message, image } = await review(`${source.host}/${name}`);
      assert.equal(allowed, true, message);
      await validate(image);
      const raw = ['inspect', '--raw', '--tls-verify=false'];
      const creds = `--creds=${user.name}:${user.password}`;
      const [there, here] = await Promise.all([
        runOrThrow('skopeo', [...raw, `docker://${source.host}/${name}`]),
        runOrThrow('skopeo', [...raw, creds, `docker://${image}`]),
      ]);
      assert.equal(here, there, name);
    }
  });

  it('keeps the digest of a pinned image', async () => {
    const digest = await pushImage(source, 'pinned/app:1', {
      platforms: ['linux/amd64', 'linux/arm64'],
    });

    const tagged = await review(`${source.host}/pinned/app:1@${digest}`);
    const bare = await review(`${source.host}/pinned/app@${digest}`);

    assert.ok(tagged.image.endsWith(`:1@${digest}`), tagged.image);
    assert.ok(bare.image.endsWith(`@${digest}`), bare.image);
    await validate(bare.image);
  });

  it('sends at most four requests and reads no layer if the backup is complete', async () => {
    await pushImage(source, 'again/app:1');
    await review(`${source.host}/again/app:1`);
    await Promise.all([source.forgetRequests(), backup.forgetRequests()]);

    await review(`${source.host}/again/app:1`);

    const requests = [...(await source.requests()), ...(await backup.requests())];
    assert.ok(
      requests.length <= 4,
      requests.map(({ method, path }) => `${method} ${path}`).join('\n'),
    );
    assert.ok(requests.every(({ method }) => method === 'HEAD'));
  });

  it('uploads each layer once for two hundred concurrent reviews', async () => {
    await pushImage(source, 'crowd/app:1', { bytes: 300_000 });
    await backup.forgetRequests();

    const answers = await Promise.all(
      Array.from({ length: 200 }, () => review(`${source.host}/crowd/app:1`)),
    );

    for (const { allowed, message } of answers) assert.equal(allowed, true, message);
    const uploads = (await backup.requests()).filter(
      ({ method, path, status }) => method === 'PUT' && path.includes('/blobs/') && status === 201,
    );
    assert.equal(uploads.length, 2);
  });

  it('answers with a retry and the progress during a copy, and with the copy afterwards', async () => {
    await pushImage(source, 'slow/app:1', { bytes: 400_000 });
    const held = gate.hold(isBlobGet);
    const image = `${gate.host}/slow/app:1`;

    const first = await review(image, '2s');
    held.release();
    const second = await review(image);

    assert.equal(first.code, 504);
    assert.match(
      first.message,
      /^container "web": still copying \S+: \d+ %, \S+ of \S+ KiB(, .+)?$/,
    );
    assert.equal(second.allowed, true, second.message);
    await validate(second.image);
  });

  it('resumes a layer after its connection is closed', async () => {
    await pushImage(source, 'cut/app:1', { bytes: 900_000 });
    const undo = gate.cut(isBlobGet, 300_000);

    const { allowed, message, image } = await review(`${gate.host}/cut/app:1`);
    undo();

    assert.equal(allowed, true, message);
    await validate(image);
  });

  it('completes a copy after kill -9 and a restart of the webhook', async () => {
    await pushImage(source, 'killed/app:1', { seed: 'first' });
    const image = `${gate.host}/killed/app:1`;
    const { at } = await review(image);
    const old = await backup.digest(...at);
    await pushImage(source, 'killed/app:1', { bytes: 300_000, seed: 'second' });
    const held = gate.hold(isBlobGet);
    const interrupted = review(image).catch(() => undefined);
    await held.waiting();

    await webhook.stop('SIGKILL');
    held.release();
    await interrupted;
    assert.equal(await backup.digest(...at), old);
    webhook = await start();
    const next = await review(image);

    assert.equal(next.allowed, true, next.message);
    await validate(next.image);
    assert.equal(await backup.digest(at[0], `1.${old?.slice(7, 19)}`), old);
  });

  it('the webhook finishes a running copy at SIGTERM', async () => {
    await pushImage(source, 'drained/app:1', { bytes: 300_000 });
    const held = gate.hold(isBlobGet);
    const answer = review(`${gate.host}/drained/app:1`);
    await held.waiting();

    const ended = webhook.stop('SIGTERM');
    await webhook.waitForLog(({ msg }) => msg === 'draining');
    held.release();

    const { allowed, message, image } = await answer;
    assert.equal(allowed, true, message);
    assert.equal((await ended).code, 0);
    await validate(image);
    webhook = await start();
  });

  it('repairs a backup that lost blobs to garbage collection', async () => {
    const digest = await pushImage(source, 'holes/app:1', {
      platforms: ['linux/amd64', 'linux/arm64'],
    });
    const { at } = await review(`${source.host}/holes/app:1`);
    const held = await backup.request(`${at[0]}/manifests/${digest}`, {
      headers: { accept: manifestTypes },
    });
    const [, child = ''] = /"digest":"(sha256:[0-9a-f]{64})"/.exec(await held.text()) ?? [];
    const manifest = await backup.request(`${at[0]}/manifests/${child}`, {
      headers: { accept: manifestTypes },
    });
    const [, hex = ''] =
      /"layers":.*"digest":"sha256:([0-9a-f]{64})"/.exec(await manifest.text()) ?? [];
    const blobs = join(backupDir, 'data/docker/registry/v2/blobs/sha256');
    await rm(join(blobs, hex.slice(0, 2), hex), { recursive: true });

    const { allowed, image } = await review(`${source.host}/holes/app:1`);

    assert.equal(allowed, true);
    await webhook.waitForLog(({ msg }) => msg === 'backup repaired');
    await validate(image);
  });

  it('falls back to the backup when the source registry is down', async () => {
    await pushImage(source, 'gone/app:1');
    await review(`${gate.host}/gone/app:1`);
    await gate.stop();

    const { allowed, warnings, image } = await review(`${gate.host}/gone/app:1`);

    assert.equal(allowed, true);
    assert.match(warnings.join(), /^using the backup/);
    await validate(image);
  });

  it('never logs the password of the backup, with CLONER=registry', () => {
    const log = JSON.stringify(webhook.log());
    assert.ok(!log.includes(JSON.stringify(user.password).slice(1, -1)));
    assert.ok(!log.includes(Buffer.from(`${user.name}:${user.password}`).toString('base64')));
  });
});
