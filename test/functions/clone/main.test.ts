import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  createMemoryRegistry,
  type MemoryRegistry,
  makeImage,
  type ServedRegistry,
  seed,
  serveMemoryRegistry,
} from '../../../lib/memory-registry/index.ts';
import { entranceCommand } from '../../support/entrance-command.ts';

/** Runs the real process with registries in memory. */
describe('functions/clone/main.ts', () => {
  let dir: string;
  let source: ServedRegistry;
  let backup: ServedRegistry;
  let backupRegistry: MemoryRegistry;

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clone-'));
    await writeFile(join(dir, 'username'), 'acme');
    await writeFile(join(dir, 'password'), 's3cret');
    const registry = createMemoryRegistry();
    seed(registry, 'app:1', makeImage());
    backupRegistry = createMemoryRegistry({ auth: { scheme: 'basic', users: { acme: 's3cret' } } });
    source = await serveMemoryRegistry({ registry });
    backup = await serveMemoryRegistry({ registry: backupRegistry });
  });
  after(async () => {
    await source.close();
    await backup.close();
    await rm(dir, { recursive: true });
  });

  async function run(
    args: readonly string[],
    stdin = '',
  ): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
    const command = entranceCommand('clone');
    const child = spawn(process.execPath, [...command.args, ...args], {
      env: {
        ...command.env,
        CLONER: 'registry',
        REGISTRY: backup.host,
        REGISTRY_NAMESPACE: 'copies',
        REGISTRY_AUTH_DIR: dir,
        // The command ignores the settings of the webhook's ports.
        TLS_CERT_FILE: '/nowhere',
      },
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    child.stdin.end(stdin);
    const code = await new Promise<number | null>((resolve) => {
      child.once('close', resolve);
    });
    return { code, stdout, stderr };
  }

  const escape = (text: string): string => text.replaceAll(/[.[\]]/g, String.raw`\$&`);
  /** The name of `127.0.0.1:4711/app:1` and of its copy, which contains a hash of the host. */
  const copied = (): string =>
    `${escape(source.host)}/app:1 -> ${escape(backup.host)}/copies/127\\.0\\.0\\.1-\\d+__app-[0-9a-f]{12}:1`;

  it('just clone copies nothing with --dry-run', async () => {
    const { code, stdout, stderr } = await run(['--dry-run', `${source.host}/app:1`]);

    assert.equal(code, 0, stderr);
    assert.match(
      stdout,
      new RegExp(`^${copied()}: would be copied\n1 images: 1 would be copied\n$`),
    );
    assert.equal(backupRegistry.requests.bytesIn(), 0);
  });

  it('just clone copies images from the command line and standard input, and continues after a failure', async () => {
    const { code, stdout, stderr } = await run(
      [`${source.host}/app:1`, '-'],
      `${source.host}/app:1\n${source.host}/gone:1 # no more\n`,
    );

    assert.equal(code, 1, stderr);
    assert.match(stdout, new RegExp(`^${copied()}: copied, \\S+ [KM]iB in \\S+ s$`, 'm'));
    const gone = `${escape(source.host)}/gone:1`;
    assert.match(
      stdout,
      new RegExp(`^${gone}: failed: ${gone} does not exist on ${escape(source.host)}$`, 'm'),
    );
    assert.match(stdout, /^2 images: 1 copied, 1 failed$/m);
    assert.equal(stderr, '');
  });

  it('just clone does not copy an image that the backup holds', async () => {
    const before = backupRegistry.requests.bytesIn();

    const { code, stdout } = await run([`${source.host}/app:1`]);

    assert.equal(code, 0);
    assert.match(stdout, new RegExp(`^${copied()}: there already$`, 'm'));
    assert.equal(backupRegistry.requests.bytesIn(), before);
  });

  it('just clone reports that the backup replaces a source that is down', async () => {
    await source.close();

    const { code, stdout } = await run([`${source.host}/app:1`]);

    await source.reopen();
    assert.equal(code, 0);
    assert.match(stdout, /: there already\n {2}using the backup of \S+: /);
    assert.match(stdout, /^1 images: 1 from the backup$/m);
  });

  it('just clone reports every invalid image name before it copies anything', async () => {
    const { code, stdout, stderr } = await run(['NGINX', `${source.host}/app:1`, 'a b']);

    assert.equal(code, 2);
    assert.equal(stdout, '');
    assert.equal(
      stderr,
      'clone: "NGINX" is not a valid image name: the repository name must be lower case\nclone: "a b" is not a valid image name\n',
    );
  });
});
