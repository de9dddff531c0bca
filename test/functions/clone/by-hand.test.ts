import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import {
  createMemoryRegistry,
  makeImage,
  type ServedRegistry,
  seed,
  serveMemoryRegistry,
} from '../../../lib/memory-registry/index.ts';
import { entranceCommand } from '../../support/entrance-command.ts';

interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the real process on a machine with `docker login`. */
describe('functions/clone/main.ts by hand', () => {
  let dir: string;
  let source: ServedRegistry;
  let backup: ServedRegistry;

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'by-hand-'));
    const auth = {
      scheme: 'basic',
      users: { me: 'secret' },
      isPublic: (name: string) => name === 'public',
    } as const;
    const registry = createMemoryRegistry({ auth });
    seed(registry, 'public:1', makeImage());
    seed(registry, 'private:1', makeImage());
    source = await serveMemoryRegistry({ registry });
    backup = await serveMemoryRegistry({
      registry: createMemoryRegistry({ auth: { scheme: 'basic', users: { me: 'secret' } } }),
    });
    const login = { auth: Buffer.from('me:secret').toString('base64') };
    const auths = { [source.host]: login, [backup.host]: login };
    await writeFile(join(dir, 'config.json'), JSON.stringify({ auths }));
  });
  after(async () => {
    await source.close();
    await backup.close();
    await rm(dir, { recursive: true });
  });

  async function run(args: readonly string[], env: Record<string, string> = {}): Promise<Run> {
    const command = entranceCommand('clone');
    const child = spawn(process.execPath, [...command.args, ...args], {
      env: {
        ...command.env,
        CLONER: 'registry',
        REGISTRY: backup.host,
        DOCKER_CONFIG: dir,
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const closed = new Promise<number | null>((resolve) => child.once('close', resolve));
    const [stdout, stderr, code] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      closed,
    ]);
    return { code, stdout, stderr };
  }

  it('just clone uses the docker login of the person for the backup and for public sources', async () => {
    const { code, stdout, stderr } = await run([`${source.host}/public:1`]);

    assert.equal(code, 0, stdout + stderr);
    assert.ok(stdout.includes(`-> ${backup.host}/me/`), stdout);
    assert.match(stdout, /1 images: 1 copied/);
  });

  it('just clone refuses what only a personal login opens, unless --shared', async () => {
    const image = `${source.host}/private:1`;

    const refused = await run([image]);
    const dryRun = await run(['--dry-run', image]);
    const shared = await run(['--shared', image]);

    assert.equal(refused.code, 1);
    const reason = `${image}: failed: only your own login (${join(dir, 'config.json')}) opens ${image}, and every namespace may use its copy: add --shared if that is right\n`;
    assert.ok(refused.stdout.startsWith(reason), refused.stdout);
    assert.ok(dryRun.stdout.startsWith(reason), dryRun.stdout);
    assert.equal(shared.code, 0, shared.stdout + shared.stderr);
    assert.match(shared.stdout, /1 images: 1 copied/);
  });

  it('just clone copies into an open backup with REGISTRY_AUTH=none', async () => {
    const open = await serveMemoryRegistry({ registry: createMemoryRegistry() });
    const env = { REGISTRY: open.host, REGISTRY_AUTH: 'none', REGISTRY_NAMESPACE: 'copies' };

    const { code, stdout } = await run([`${source.host}/public:1`], env);
    await open.close();

    assert.equal(code, 0, stdout);
    assert.ok(stdout.includes(`-> ${open.host}/copies/`), stdout);
  });

  it('just clone reads no personal login in a pod', async () => {
    const { code, stderr } = await run([`${source.host}/public:1`], {
      KUBERNETES_SERVICE_HOST: '10.0.0.1',
    });

    assert.equal(code, 2);
    assert.equal(
      stderr,
      `clone: no credentials for the backup registry ${backup.host}: mount the Secret registry-auth with username and password at /auth, or set REGISTRY_AUTH to ecr, gar, acr or none\n`,
    );
  });

  it('just clone reads no personal login if REGISTRY_AUTH_DIR is set', async () => {
    const { code, stderr } = await run([`${source.host}/public:1`], {
      REGISTRY_AUTH_DIR: join(dir, 'none'),
    });

    assert.equal(code, 2);
    assert.match(stderr, /^clone: .*\/none\/username cannot be used: it does not exist/);
  });

  it('just clone needs REGISTRY_NAMESPACE if the login is a token without a name', async () => {
    const config = join(dir, 'token');
    await mkdir(config);
    const auth = Buffer.from('oauth2accesstoken:token').toString('base64');
    const auths = { [backup.host]: { auth } };
    await writeFile(join(config, 'config.json'), JSON.stringify({ auths }));

    const { code, stderr } = await run([`${source.host}/public:1`], { DOCKER_CONFIG: config });

    assert.equal(code, 2);
    assert.equal(
      stderr,
      'clone: REGISTRY_NAMESPACE must be set: the username oauth2accesstoken stands for any token\n',
    );
  });

  it('just clone lists a broken docker config and wrong variables at once', async () => {
    await writeFile(join(dir, 'broken'), 'x');
    const { code, stderr } = await run([`${source.host}/public:1`], {
      DOCKER_CONFIG: join(dir, 'broken'),
      PIN_DIGESTS: 'maybe',
    });

    assert.equal(code, 2);
    assert.equal(
      stderr,
      `clone: PIN_DIGESTS must be true or false\nclone: ${join(dir, 'broken', 'config.json')} cannot be used: it cannot be read; correct it, or set REGISTRY_AUTH_DIR\n`,
    );
  });

  it('just clone says how to log in if there is no login for the backup', async () => {
    const { code, stderr } = await run([`${source.host}/public:1`], { REGISTRY: 'reg.test' });

    assert.equal(code, 2);
    assert.equal(
      stderr,
      'clone: no credentials for the backup registry reg.test: run "docker login reg.test", or set REGISTRY_AUTH_DIR to a directory with username and password\n',
    );
  });
});
