import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { readNames, toWanted } from '../../../functions/clone/plan-image.ts';
import { parseImagePattern } from '../../../lib/image/pattern.ts';
import {
  createMemoryRegistry,
  type MemoryRegistry,
  makeImage,
  type ServedRegistry,
  seed,
  serveMemoryRegistry,
} from '../../../lib/memory-registry/index.ts';
import { policy } from '../../support/reviews.ts';

describe('readNames', () => {
  it('reads lines, words and remarks', () => {
    assert.deepEqual(readNames('# base images\nnginx:1.27  redis\n\n\tquay.io/a/b # ours\r\n'), [
      'nginx:1.27',
      'redis',
      'quay.io/a/b',
    ]);
  });
});

describe('toWanted', () => {
  const cases = [
    {
      name: 'nginx',
      expected: {
        state: 'wanted',
        name: 'nginx',
        source: { domain: 'docker.io', path: 'library/nginx' },
        backup: { domain: 'docker.io', path: 'acme/nginx', tag: 'latest' },
      },
    },
    {
      name: 'acme/nginx:1.27',
      expected: { state: 'left', name: 'acme/nginx:1.27', reason: 'it is in the backup already' },
    },
    {
      name: 'quay.io/internal/app:1',
      expected: {
        state: 'left',
        name: 'quay.io/internal/app:1',
        reason: 'left alone, IGNORE_IMAGES has quay.io/internal/**',
      },
    },
    {
      name: 'ghcr.io/x/y',
      expected: {
        state: 'refused',
        name: 'ghcr.io/x/y',
        reason: 'ghcr.io/x/y may not be used: SOURCE_REGISTRIES does not list ghcr.io',
      },
    },
  ];
  for (const { name, expected } of cases) {
    it(`plans ${name} as the webhook would`, () => {
      const found = toWanted(
        name,
        policy({
          ignoreImages: [parseImagePattern('quay.io/internal/**')],
          sourceRegistries: ['docker.io', 'quay.io'],
        }),
      );

      assert.deepEqual(found, expected);
    });
  }
});

/** The real process, on registries in memory. */
describe('functions/clone/main.ts', () => {
  let dir: string;
  let source: ServedRegistry;
  let backup: ServedRegistry;
  let held: MemoryRegistry;

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clone-'));
    await writeFile(join(dir, 'username'), 'acme');
    await writeFile(join(dir, 'password'), 's3cret');
    const registry = createMemoryRegistry();
    seed(registry, 'app:1', makeImage());
    held = createMemoryRegistry({ auth: { scheme: 'basic', users: { acme: 's3cret' } } });
    source = await serveMemoryRegistry({ registry });
    backup = await serveMemoryRegistry({ registry: held });
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
    const child = spawn(process.execPath, ['--import', 'tsx', 'functions/clone/main.ts', ...args], {
      env: {
        PATH: process.env['PATH'],
        CLONER: 'registry',
        REGISTRY: backup.host,
        REGISTRY_NAMESPACE: 'copies',
        REGISTRY_AUTH_DIR: dir,
        // Nobody connects, so nobody needs a certificate.
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

  const literally = (text: string): string => text.replaceAll(/[.[\]]/g, String.raw`\$&`);
  /** `127.0.0.1:4711/app:1` as a copy is called; the hash is of the host. */
  const copied = (): string =>
    `${literally(source.host)}/app:1 -> ${literally(backup.host)}/copies/127\\.0\\.0\\.1-\\d+__app-[0-9a-f]{12}:1`;

  it('only looks with --dry-run', async () => {
    const { code, stdout, stderr } = await run(['--dry-run', `${source.host}/app:1`]);

    assert.equal(code, 0, stderr);
    assert.match(
      stdout,
      new RegExp(`^${copied()}: would be copied\n1 images: 1 would be copied\n$`),
    );
    assert.equal(held.requests.bytesIn(), 0);
  });

  it('copies, names from standard input too, and goes on past what fails', async () => {
    const { code, stdout, stderr } = await run(
      [`${source.host}/app:1`, '-'],
      `${source.host}/app:1\n${source.host}/gone:1 # no more\n`,
    );

    assert.equal(code, 1, stderr);
    assert.match(stdout, new RegExp(`^${copied()}: copied, \\S+ MiB in \\S+ s$`, 'm'));
    const gone = `${literally(source.host)}/gone:1`;
    assert.match(
      stdout,
      new RegExp(`^${gone}: failed: ${gone} does not exist on ${literally(source.host)}$`, 'm'),
    );
    assert.match(stdout, /^2 images: 1 copied, 1 failed$/m);
    assert.equal(stderr, '');
  });

  it('copies nothing twice', async () => {
    const before = held.requests.bytesIn();

    const { code, stdout } = await run([`${source.host}/app:1`]);

    assert.equal(code, 0);
    assert.match(stdout, new RegExp(`^${copied()}: there already$`, 'm'));
    assert.equal(held.requests.bytesIn(), before);
  });

  it('says that a copy stands in for its source', async () => {
    await source.close();

    const { code, stdout } = await run([`${source.host}/app:1`]);

    await source.reopen();
    assert.equal(code, 0);
    assert.match(stdout, /: there already\n {2}using the backup of \S+: /);
    assert.match(stdout, /^1 images: 1 from the backup$/m);
  });

  it('tells every mistake before it copies anything', async () => {
    const { code, stdout, stderr } = await run(['NGINX', `${source.host}/app:1`, 'a b']);

    assert.equal(code, 2);
    assert.equal(stdout, '');
    assert.equal(
      stderr,
      'clone: "NGINX" is not a valid image name: the repository name must be lower case\nclone: "a b" is not a valid image name\n',
    );
  });
});
