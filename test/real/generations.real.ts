import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parseReviewResponse } from '../../functions/demo/create-object.ts';
import { createAuthDir } from './support/auth-dir.ts';
import { type DockerDaemon, startDockerDaemon } from './support/docker-daemon.ts';
import { type Registry, startRegistry } from './support/docker-registry.ts';
import { pushImage } from './support/images.ts';
import { createTempDir } from './support/janitor.ts';
import { type ProgramResult, runOrThrow, runProgram } from './support/program.ts';
import { startWebhook, type Webhook } from './support/webhook.ts';

const user = { name: 'acme', password: 's3"cr\\et+/é' };

/** Runs with both adapters; the recipes always use the registry directly. */
describe('generation recipes on real docker-registries', () => {
  let source: Registry;
  let backup: Registry;
  let strict: Registry;
  let daemon: DockerDaemon;
  let authDir: string;
  const dir = createTempDir('generations');

  before(async () => {
    [source, backup, strict, daemon, authDir] = await Promise.all([
      startRegistry(),
      startRegistry({ users: [user] }),
      startRegistry({ users: [user], deletes: false }),
      startDockerDaemon(),
      createAuthDir(user),
    ]);
    const auth = Buffer.from(`${user.name}:${user.password}`).toString('base64');
    const auths = { [backup.host]: { auth }, [strict.host]: { auth } };
    await writeFile(join(dir, 'config.json'), JSON.stringify({ auths }));
  });
  after(async () => {
    await Promise.all([source.stop(), backup.stop(), strict.stop(), daemon.stop()]);
  });

  const settings = (registry: Registry): Readonly<Record<string, string>> => ({
    REGISTRY: registry.host,
    REGISTRY_NAMESPACE: 'copies',
    REGISTRY_AUTH_DIR: authDir,
    NAMING: 'nested',
  });

  function recipe(args: readonly string[], registry = backup, env = {}): Promise<ProgramResult> {
    return runProgram('node', ['--import', 'tsx', 'functions/generations/main.ts', ...args], {
      env: { ...settings(registry), ...env },
    });
  }

  async function must(args: readonly string[], env = {}): Promise<readonly string[]> {
    const { code, stdout, stderr } = await recipe(args, backup, env);
    assert.equal(code, 0, stderr);
    return stdout.trimEnd().split('\n');
  }

  for (const cloner of ['registry', 'docker'] as const) {
    describe(`with CLONER=${cloner}`, () => {
      const name = `${cloner}/app:1`;
      let webhook: Webhook;
      let repository: string;
      let image: string;

      before(async () => {
        webhook = await start();
        repository = `copies/${source.host.replace(':', '-')}/${cloner}/app`;
        image = `${source.host}/${name}`;
      });
      after(async () => {
        await webhook.stop();
      });

      function start(): Promise<Webhook> {
        return startWebhook({
          env: { ...settings(backup), CLONER: cloner, DOCKER_HOST: `unix://${daemon.socket}` },
        });
      }

      async function review(): Promise<{
        message: string;
        warnings: readonly string[];
        image: string;
      }> {
        const answer = await webhook.review(podReview(image), '30s');
        const { status, warnings, patch } = parseReviewResponse(answer.body);
        const written = patch.find(({ op }) => op === 'replace')?.value;
        const image_ = typeof written === 'string' ? written : '';
        const [, path = ''] = /^[^/]+\/(.+):1$/.exec(image_) ?? [];
        if (path !== '') repository = path;
        return { message: status?.message ?? '', warnings, image: image_ };
      }

      /** Moves the source tag and restarts the webhook, which caches the old digest with the docker adapter. */
      async function publish(seed: string): Promise<string> {
        await pushImage(source, name, { seed: `${cloner} ${seed}`, bytes: 20_000 });
        if (cloner === 'docker') {
          await webhook.stop('SIGKILL');
          webhook = await start();
        }
        const { image: copy, message } = await review();
        assert.notEqual(copy, '', message);
        return (await backup.digest(repository, '1')) ?? '';
      }

      it('the recipes list generations, roll back, hold the tag when the source moves, and release it', async () => {
        const first = await publish('first');
        const second = await publish('second');
        assert.notEqual(first, second);

        const listed = await must(['generations', image]);
        assert.match(listed[2] ?? '', new RegExp(`^${second.slice(0, 19)}  current  20\\d\\d-`));
        assert.match(listed[3] ?? '', new RegExp(`^${first.slice(0, 19)}  `));
        assert.equal(
          listed[4],
          `2 generations; to go back: image-cloner rollback ${image} ${first.slice(0, 19)}`,
        );

        await must(['rollback', image, first.slice(0, 19)]);
        assert.equal(await backup.digest(repository, '1'), first);
        const third = `${cloner} third`;
        await pushImage(source, name, { seed: third, bytes: 20_000 });
        await webhook.stop('SIGKILL');
        webhook = await start();
        const { warnings } = await review();
        assert.deepEqual(warnings, [
          `${image} is held at ${first.slice(0, 19)}; "just rollback IMAGE --release" releases it`,
        ]);
        assert.equal(await backup.digest(repository, '1'), first);

        await must(['rollback', image, '--release']);
        const after = await review();
        assert.deepEqual(after.warnings, []);
        const now = await backup.digest(repository, '1');
        assert.ok(now !== first && now !== second);
        // All three generations and their tags exist.
        const tags = await backup.tags(repository);
        for (const digest of [first, second, now ?? '']) {
          assert.ok(tags.includes(`1.${digest.slice(7, 19)}`), tags.join(' '));
          assert.equal(await backup.digest(repository, `1.${digest.slice(7, 19)}`), digest);
        }
        for (const tag of tags) {
          await runOrThrow(
            'crane',
            ['validate', '--insecure', '--remote', `${backup.host}/${repository}:${tag}`],
            {
              env: { DOCKER_CONFIG: dir },
            },
          );
        }
      });

      it('just prune removes old generations and keeps held ones', async () => {
        const tags = await backup.tags(repository);
        const current = await backup.digest(repository, '1');
        const report = await must(['prune', image], { KEEP_GENERATIONS: '1' });
        assert.match(report.at(-1) ?? '', /^2 would be removed with KEEP_GENERATIONS=1/);
        assert.deepEqual(await backup.tags(repository), tags);

        const listed = await must(['generations', image]);
        const oldest = (listed[4] ?? '').slice(0, 19);
        await must(['rollback', image, oldest]);
        await must(['prune', '--apply'], { KEEP_GENERATIONS: '1' });

        const left = await backup.tags(repository);
        assert.equal((await backup.digest(repository, '1'))?.slice(0, 19), oldest);
        assert.equal(left.filter((tag) => /^1\.[0-9a-f]{12}$/.test(tag)).length, 1, left.join(' '));
        assert.equal(await backup.digest(repository, current ?? ''), undefined);
        for (const tag of left) {
          await runOrThrow(
            'crane',
            ['validate', '--insecure', '--remote', `${backup.host}/${repository}:${tag}`],
            {
              env: { DOCKER_CONFIG: dir },
            },
          );
        }
      });
    });
  }

  it('just prune removes the signature of a generation with it, and keeps that of the current one', async () => {
    const webhook = await startWebhook({ env: { ...settings(backup), CLONER: 'registry' } });
    const image = `${source.host}/signed/app:1`;
    const signatures: string[] = [];
    let repository = '';
    for (const seed of ['a', 'b']) {
      const digest = await pushImage(source, 'signed/app:1', { seed });
      const signature = `${digest.replace(':', '-')}.sig`;
      signatures.push(signature);
      await pushImage(source, `signed/app:${signature}`, { seed: `signature of ${seed}` });
      const answer = await webhook.review(podReview(image), '30s');
      const written = parseReviewResponse(answer.body).patch.find(({ op }) => op === 'replace');
      [, repository = ''] = /^[^/]+\/(.+):1$/.exec(String(written?.value)) ?? [];
    }
    await webhook.stop();
    const [old = '', current = ''] = signatures;
    const held = await backup.digest(repository, old);
    const env = { KEEP_GENERATIONS: '1' };

    const report = await must(['prune', image], env);
    assert.match(report[1] ?? '', / {2}would be removed, with 1 signature or attestation$/);
    const removed = await must(['prune', image, '--apply'], env);
    assert.match(removed[1] ?? '', / {2}removed, with 1 signature or attestation$/);

    const tags = await backup.tags(repository);
    assert.deepEqual(
      tags.filter((tag) => tag.startsWith('sha256-')),
      [current],
    );
    assert.equal(await backup.digest(repository, held ?? ''), undefined);
  });

  it('just prune reports a registry without delete support, and loses no generation', async () => {
    const webhook = await startWebhook({ env: { ...settings(strict), CLONER: 'registry' } });
    const image = `${source.host}/strict/app:1`;
    for (const seed of ['a', 'b']) {
      await pushImage(source, 'strict/app:1', { seed });
      await webhook.review(podReview(image), '30s');
    }
    await webhook.stop();

    const listed = await recipe(['generations', image], strict);
    assert.equal(listed.stdout.trimEnd().split('\n').length, 5, listed.stdout);
    const end = await recipe(['prune', image, '--apply'], strict, { KEEP_GENERATIONS: '1' });

    assert.equal(end.code, 1, end.stdout);
    assert.equal(
      end.stderr,
      `prune: the backup registry ${strict.host} does not allow deletion (405); enable it, in distribution by storage.delete.enabled\n`,
    );
    assert.equal((await recipe(['generations', image], strict)).stdout, listed.stdout);
  });

  it('just generations lists the tags of a repository with more than one page', async () => {
    const digest = await pushImage(backup, 'copies/docker.io/library/many:1');
    const manifest = await backup.request(`copies/docker.io/library/many/manifests/${digest}`, {
      headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
    });
    const body = new Uint8Array(await manifest.arrayBuffer());
    for (let count = 0; count < 1_100; count += 1) {
      const tag = count === 0 ? `1.${digest.slice(7, 19)}` : `n${count}`;
      const put = await backup.request(`copies/docker.io/library/many/manifests/${tag}`, {
        method: 'PUT',
        headers: { 'content-type': 'application/vnd.oci.image.manifest.v1+json' },
        body,
      });
      assert.equal(put.status, 201);
    }

    const [, , row = ''] = await must(['generations', 'many:1']);

    assert.equal(
      row.split(' ').filter((word) => /^(n\d+|1(\.[0-9a-f]{12})?)$/.test(word)).length,
      1_101,
    );
  });
});

function podReview(image: string): object {
  const spec = { containers: [{ name: 'web', image }] };
  const kind = { group: '', version: 'v1', kind: 'Pod' };
  const request = { uid: 'u', kind, operation: 'CREATE', object: { metadata: {}, spec } };
  return { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request };
}
