import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import * as v from 'valibot';
import { commandGroups } from '../../../functions/cli/commands.ts';
import { formatCommandHelp, readArguments } from '../../../functions/shared/command-line/index.ts';
import { entranceCommand } from '../../support/entrance-command.ts';

interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const commands = commandGroups.flatMap((group) => group.commands);

/** Runs the real process without settings. */
async function run(args: readonly string[], nodeArgs: readonly string[] = []): Promise<Result> {
  const command = entranceCommand('cli');
  const { promise, resolve } = Promise.withResolvers<Result>();
  execFile(
    process.execPath,
    [...nodeArgs, ...command.args, ...args],
    { env: command.env },
    (error, stdout, stderr) => resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
  );
  return await promise;
}

/** Prints the URL of every module that the process loads, to standard error. */
const tracer = `data:text/javascript,${encodeURIComponent(`
import { registerHooks } from 'node:module';
import { writeSync } from 'node:fs';
registerHooks({ load: (url, context, next) => { writeSync(2, url + '\\n'); return next(url, context); } });
`)}`;

/** Files of this project that `args` load, and names of packages. */
async function loadedBy(args: readonly string[]): Promise<readonly string[]> {
  const { stderr } = await run(args, ['--import', tracer]);
  const root = new URL('../../../', import.meta.url).href;
  return stderr
    .split('\n')
    .filter((url) => url.startsWith('file:'))
    .map((url) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? url.slice(root.length));
}

describe('image-cloner', () => {
  it('image-cloner --help lists every command with its summary and exits with 0', async () => {
    const { code, stdout, stderr } = await run(['--help']);

    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
    assert.match(stdout, /^Usage: image-cloner COMMAND \[OPTION…\]\n/);
    for (const { name, summary } of commands) {
      // Long summaries are wrapped.
      assert.ok(stdout.replaceAll(/\s+/g, ' ').includes(` ${name} ${summary} `), name);
    }
    assert.deepEqual(await run(['help']), { code, stdout, stderr });
  });

  it('image-cloner help COMMAND prints the same as COMMAND --help', async () => {
    const result = await run(['help', 'rollback']);

    assert.deepEqual(result, await run(['rollback', '--help']));
    assert.equal(result.code, 0);
    assert.match(result.stdout, /^Usage: image-cloner rollback \[OPTION…\] IMAGE \[DIGEST\]\n/);
  });

  it('image-cloner --version prints the version of package.json', async () => {
    const { version } = v.parse(
      v.object({ version: v.string() }),
      JSON.parse(await readFile('package.json', 'utf8')),
    );

    assert.deepEqual(await run(['--version']), { code: 0, stdout: `${version}\n`, stderr: '' });
  });

  it('image-cloner without a command is the webhook, with its flags', async () => {
    for (const args of [[], ['--port', '1'], ['webhook', '--port', '1']]) {
      const { code, stderr } = await run(args);

      assert.equal(code, 2);
      assert.match(stderr, /^image-cloner: .*no docker socket/m);
      assert.doesNotMatch(stderr, /unknown|unexpected/);
    }
  });

  it('image-cloner completion prints a script for each shell, which knows every command', async () => {
    for (const shell of ['bash', 'zsh', 'fish']) {
      const { code, stdout, stderr } = await run(['completion', shell]);

      assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
      for (const { name } of commands) assert.match(stdout, new RegExp(`\\b${name}\\b`));
    }
  });

  it('image-cloner completion names the shells that it knows', async () => {
    const { code, stderr } = await run(['completion', 'tcsh']);

    assert.equal(code, 2);
    assert.match(stderr, /^completion: SHELL must be bash or zsh or fish\n/);
  });

  it('image-cloner --help and COMMAND --help load neither an SDK nor the configuration', async () => {
    for (const args of [['--help'], ['deploy', '--help'], ['backfill', '--aply', '--help']]) {
      const loaded = await loadedBy(args);

      assert.ok(loaded.includes('functions/cli/commands.ts'));
      const unexpected = loaded.filter(
        (file) =>
          !/^(commander$|package\.json$|lib\/(errors\.ts|util\/)|functions\/shared\/)/.test(file) &&
          !/^functions\/([\w-]+\/(main|commands?)|cli\/[\w-]+)\.ts$/.test(file),
      );
      assert.deepEqual(unexpected, []);
    }
  });

  it('image-cloner without arguments loads the webhook and no other command', async () => {
    const loaded = await loadedBy([]);

    assert.ok(loaded.includes('functions/webhook/serve.ts'));
    assert.deepEqual(
      loaded.filter((file) =>
        /^commander$|^functions\/(?!cli\/main\.ts$|webhook\/|shared\/)/.test(file),
      ),
      [],
    );
  });
});

describe('the commands of image-cloner', () => {
  for (const command of commands) {
    it(`image-cloner ${command.name} has help that fits a terminal, and examples that it accepts`, () => {
      const help = formatCommandHelp(command);
      const [, optionsAndMore = ''] = help.split('Options:\n');

      for (const line of optionsAndMore.split('\n')) assert.ok(line.length <= 100, line);
      assert.ok(command.examples.length > 0);
      for (const { command: line } of command.examples) {
        const [, words = ''] =
          /^(?:[A-Z_]+=\S+ |eval "\$\()*image-cloner (.*?)(?: [|<>] .*|\)")?$/.exec(line) ?? [];
        const [first = '', ...rest] = words.split(' ');
        // Without a command, it is the webhook.
        const [name, args] = first.startsWith('-') ? ['webhook', words.split(' ')] : [first, rest];
        const given = readArguments(args, command);

        assert.equal(name, command.name, line);
        assert.deepEqual([...given.problems, ...(command.findProblems?.(given) ?? [])], []);
      }
    });
  }

  it('the commands of image-cloner have different names', () => {
    assert.equal(new Set(commands.map(({ name }) => name)).size, commands.length);
  });
});
