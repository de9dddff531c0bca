import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import * as v from 'valibot';
import { requireNode } from '../../../functions/shared/run-command.ts';

interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the real process without settings. */
async function run(entrance: string, args: readonly string[]): Promise<Result> {
  const { promise, resolve } = Promise.withResolvers<Result>();
  execFile(
    process.execPath,
    ['--import', 'tsx', `functions/${entrance}/main.ts`, ...args],
    { env: { PATH: process.env['PATH'] } },
    (error, stdout, stderr) => resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
  );
  return await promise;
}

/** Runs the real process with a standard output that nothing reads. */
async function runWithoutReader(entrance: string): Promise<object> {
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', `functions/${entrance}/main.ts`, '--help'],
    { env: { PATH: process.env['PATH'] } },
  );
  child.stdout.destroy();
  const [stderr] = await Promise.all([text(child.stderr), once(child, 'close')]);
  return { code: child.exitCode, stderr };
}

describe('runCommand', () => {
  const cases: readonly (readonly [entrance: string, args: readonly string[], expected: string])[] =
    [
      ['webhook', ['prot'], 'image-cloner: unexpected argument "prot"; did you mean --port?'],
      ['webhook', ['--prot', '1'], 'image-cloner: unknown flag --prot; did you mean --port?'],
      ['clone', ['--dryrun', 'nginx'], 'clone: unknown flag --dryrun; did you mean --dry-run?'],
      ['backfill', ['--refersh'], 'backfill: unknown flag --refersh; did you mean --refresh?'],
      ['restore', ['--refresh'], 'restore: unknown flag --refresh'],
      [
        'generations',
        ['rolback'],
        'generations: unknown command "rolback"; did you mean rollback?',
      ],
      ['cli', ['clon', 'nginx'], 'image-cloner: unknown command "clon"; did you mean clone?'],
      ['cli', ['--prot', '1'], 'image-cloner: unknown flag --prot; did you mean --port?'],
      ['cli', ['clone', '--dry-run'], 'clone: IMAGE is missing'],
      ['cli', ['help', 'clon'], 'image-cloner: unknown command "clon"; did you mean clone?'],
      ['generations', ['generations', 'a', 'b'], 'generations: unexpected argument "b"'],
      ['generations', ['rollback', 'a', 'b', '--release'], 'rollback: name DIGEST or --release'],
      ['generations', ['prune', '--aply'], 'prune: unknown flag --aply; did you mean --apply?'],
      ['gen', ['force'], 'gen: unexpected argument "force"'],
      ['gen', ['--force'], 'gen: unknown flag --force'],
      ['deploy', ['deploi'], 'deploy: unknown command "deploi"; did you mean deploy?'],
      ['deploy', ['deploy', 'shop'], 'deploy: unexpected argument "shop"'],
      ['deploy', ['undeploy', '--force'], 'undeploy: unknown flag --force'],
      ['deploy', ['status', '--hlep'], 'status: unknown flag --hlep; did you mean --help?'],
      ['pull-secret', ['shop'], 'pull-secret: unexpected argument "shop"'],
    ];
  for (const [entrance, args, expected] of cases) {
    it(`names the mistake in "${entrance} ${args.join(' ')}" and exits with 2`, async () => {
      const { code, stdout, stderr } = await run(entrance, args);

      assert.equal(code, 2, stderr);
      assert.equal(stdout, '');
      const lines = stderr.split('\n');
      assert.ok(lines.includes(expected), stderr);
      assert.match(stderr, /^[\w-]+: usage: /m);
    });
  }

  it('exits with 1 and says so if the output of a command cannot be written', async () => {
    assert.deepEqual(await runWithoutReader('clone'), {
      code: 1,
      stderr: 'clone: the output cannot be written: write EPIPE\n',
    });
  });

  it('ends the webhook as usual if its output has no reader', async () => {
    assert.deepEqual(await runWithoutReader('webhook'), { code: 0, stderr: '' });
  });
});

describe('requireNode', () => {
  for (const version of ['22.20.0', '22.21.1', '23.0.0', '26.10.0']) {
    it(`accepts Node ${version}`, () => {
      requireNode(version);
    });
  }

  for (const version of ['20.20.2', '22.19.9', '18.0.0']) {
    it(`rejects Node ${version} and names the way to get a newer one`, () => {
      assert.throws(() => requireNode(version), {
        name: 'ConfigError',
        message: `Node.js ${version} is too old: 22.20 or newer is needed; "npm ci" installs one, which npm scripts, just and "npx node" use`,
      });
    });
  }

  it('requires what package.json declares in engines', async () => {
    const schema = v.object({ engines: v.object({ node: v.string() }) });
    const { engines } = v.parse(schema, JSON.parse(await readFile('package.json', 'utf8')));

    assert.equal(engines.node, '>=22.20');
  });
});
