import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { createAuthDir } from './support/auth-dir.ts';
import { startRegistry } from './support/docker-registry.ts';
import { pushImage } from './support/images.ts';
import { runOrThrow, runProgram } from './support/program.ts';

const user = { name: 'acme', password: 's3cret' };

/** The files that the image has, which `npm run build` makes. */
describe('dist/', () => {
  before(async () => {
    await runOrThrow('node', ['--import', 'tsx', 'functions/build/main.ts']);
  });

  it('dist/image-cloner.js is the webhook without a command, and with its flags', async () => {
    for (const args of [[], ['--port', '1'], ['webhook']]) {
      const { code, stderr } = await runProgram('node', ['dist/image-cloner.js', ...args]);

      assert.equal(code, 2);
      assert.match(stderr, /^image-cloner: DOCKER_HOST: there is no docker socket/m);
    }
  });

  const entries = [
    ['image-cloner.js', ['clone', '--help'], 'clone'],
    ['clone.js', ['--help'], 'clone'],
    ['backfill.js', ['--help'], 'backfill'],
    ['restore.js', ['--help'], 'restore'],
    ['generations.js', ['prune', '--help'], 'prune'],
    ['webhook.js', ['--help'], 'webhook'],
  ] as const;
  for (const [file, args, command] of entries) {
    it(`dist/${file} ${args.join(' ')} prints the help of ${command}`, async () => {
      const help = await runOrThrow('node', [`dist/${file}`, ...args]);

      assert.match(help, new RegExp(`^Usage: image-cloner ${command} `));
    });
  }

  it('dist/image-cloner.js says which commands need a checkout', async () => {
    const { code, stderr } = await runProgram('node', ['dist/image-cloner.js', 'pull-secret']);

    assert.equal(code, 2);
    assert.equal(
      stderr,
      'pull-secret: this command needs the manifests in knative/: run "npx image-cloner pull-secret" in a checkout, after "npm ci"\n',
    );
  });

  it('dist/image-cloner.js clone copies an image between two real registries', async () => {
    const [source, backup] = await Promise.all([startRegistry(), startRegistry({ users: [user] })]);
    try {
      const digest = await pushImage(source, 'team/app:1');
      const image = `${source.host}/team/app:1`;
      const env = {
        CLONER: 'registry',
        NAMING: 'nested',
        REGISTRY: backup.host,
        REGISTRY_NAMESPACE: 'copies',
        REGISTRY_AUTH_DIR: await createAuthDir(user),
      };

      const cloned = await runOrThrow('node', ['dist/image-cloner.js', 'clone', image], { env });
      const listed = await runOrThrow(
        'node',
        ['dist/image-cloner.js', 'generations', '--json', image],
        { env },
      );

      assert.match(cloned, /^1 images: 1 copied$/m);
      assert.ok(listed.includes(`"holds": "${digest}"`), listed);
    } finally {
      await Promise.all([source.stop(), backup.stop()]);
    }
  });
});
