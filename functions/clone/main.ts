import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { CloneError, ConfigError } from '../../lib/errors.ts';
import { parseReference } from '../../lib/index.ts';
import { openWorkbench } from '../shared/open-copier.ts';
import { createDisplay } from '../shared/progress-display.ts';
import { copyNames } from './copy-images.ts';
import { readNames } from './plan-image.ts';

const usage = 'usage: clone [--dry-run] IMAGE…; with - they are read from standard input';

const options = {
  'dry-run': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

// The `debug` package, deep inside dockerode, prints whole requests, credentials included.
delete process.env['DEBUG'];

try {
  process.exit(await main());
} catch (error) {
  const problems = error instanceof ConfigError ? error.problems : [toSentence(error)];
  for (const problem of problems) process.stderr.write(`clone: ${problem}\n`);
  process.exit(error instanceof ConfigError ? 2 : 1);
}

async function main(): Promise<number> {
  const flags = await readArguments();
  if (flags.asksForHelp) {
    process.stdout.write(`${usage}\n`);
    return 0;
  }
  const { env, stdout } = process;
  const display = createDisplay({
    write: (line) => stdout.write(line),
    columns: stdout.isTTY ? stdout.columns : undefined,
    now,
  });
  const bench = await openWorkbench({ env, problems: flags.problems, display, now });
  const stopping = new AbortController();
  const { signal } = stopping;
  process.on('SIGINT', () => {
    if (signal.aborted) process.exit(1);
    bench.stop();
    stopping.abort();
  });
  const isWell = await copyNames({
    names: flags.names,
    policy: bench.policy,
    ensure: bench.ensure,
    atOnce: bench.config.maxClones,
    dryRun: flags.dryRun,
    print: display.line,
    signal,
  });
  return isWell ? 0 : 1;
}

function now(): number {
  return performance.now();
}

/** Every mistake is told before anything is copied. */
async function readArguments(): Promise<{
  readonly names: readonly string[];
  readonly dryRun: boolean;
  readonly asksForHelp: boolean;
  readonly problems: readonly string[];
}> {
  const { values, positionals } = parse();
  const given = await Promise.all(
    positionals.map(async (name) => (name === '-' ? readNames(await text(process.stdin)) : [name])),
  );
  const names = [...new Set(given.flat())];
  const asksForHelp = values.help === true;
  const problems = names.flatMap(findProblem);
  if (names.length === 0) problems.push(usage);
  return { names, dryRun: values['dry-run'] === true, asksForHelp, problems };
}

function parse(): {
  readonly values: { readonly 'dry-run'?: boolean; readonly help?: boolean };
  readonly positionals: readonly string[];
} {
  try {
    return parseArgs({ options, allowPositionals: true });
  } catch (error) {
    throw new ConfigError([toSentence(error), usage]);
  }
}

function findProblem(name: string): readonly string[] {
  try {
    parseReference(name);
    return [];
  } catch (error) {
    if (error instanceof CloneError) return [error.message];
    throw error;
  }
}

function toSentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
