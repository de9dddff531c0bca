import { parseArgs } from 'node:util';
import { CloneError, ConfigError } from '../../lib/errors.ts';
import { openBackup } from './backup.ts';
import { listGenerations } from './list.ts';
import { prune } from './prune.ts';
import { runRollback } from './rollback.ts';

const usages = {
  generations: 'generations IMAGE',
  rollback: 'rollback IMAGE DIGEST, or rollback IMAGE --release',
  prune: 'prune [IMAGE…] [--used FILE] [--apply]',
} as const;

const [command = '', ...rest] = process.argv.slice(2);
try {
  if (!(await main())) process.exitCode = 1;
} catch (error) {
  const problems = error instanceof ConfigError ? error.problems : [toSentence(error)];
  for (const problem of problems) process.stderr.write(`${command}: ${problem}\n`);
  const isUsage =
    error instanceof ConfigError ||
    (error instanceof CloneError && error.code === 'INVALID_REFERENCE');
  process.exitCode = isUsage ? 2 : 1;
}

/** Resolves with `false` where there is nothing. */
async function main(): Promise<boolean> {
  const { signal } = new AbortController();
  const { positionals, values } = readArguments();
  const [image = '', digest] = positionals;
  switch (command) {
    case 'generations':
      if (positionals.length !== 1) throw wrongUsage(command);
      return await listGenerations(await openBackup(process.env), image, print, signal);
    case 'rollback': {
      const to = values.release ? 'release' : { digest: digest ?? '' };
      if (positionals.length !== (values.release ? 1 : 2)) throw wrongUsage(command);
      return await runRollback(await openBackup(process.env), image, to, print, signal);
    }
    case 'prune': {
      const { apply, used: usedFile } = values;
      const options = { images: positionals, apply, usedFile };
      return await prune(await openBackup(process.env), options, print, signal);
    }
    default:
      throw new ConfigError([`usage: ${Object.keys(usages).join(' | ')}`]);
  }
}

function readArguments(): {
  readonly positionals: readonly string[];
  readonly values: {
    readonly release: boolean;
    readonly apply: boolean;
    readonly used: string | undefined;
  };
} {
  try {
    const { positionals, values } = parseArgs({
      args: rest,
      allowPositionals: true,
      options: {
        release: { type: 'boolean', default: false },
        apply: { type: 'boolean', default: false },
        used: { type: 'string' },
      },
    });
    const { release, apply, used } = values;
    const strangers = [
      ...(release && command !== 'rollback' ? ['--release'] : []),
      ...((apply || used !== undefined) && command !== 'prune' ? ['--apply and --used'] : []),
    ];
    if (strangers.length > 0) {
      throw new ConfigError([`${strangers.join(', ')}: not known to ${command}`]);
    }
    return { positionals, values: { release, apply, used } };
  } catch (error) {
    throw error instanceof ConfigError ? error : new ConfigError([toSentence(error)]);
  }
}

function wrongUsage(of: keyof typeof usages): ConfigError {
  return new ConfigError([`usage: ${usages[of]}`]);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function toSentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
