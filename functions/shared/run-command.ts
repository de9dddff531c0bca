import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CloneError, ConfigError } from '../../lib/errors.ts';
import type { Arguments, Command } from './command-line/index.ts';

/** Of a checkout; a file of the bundle is one folder higher. */
const manifestsDir = join(import.meta.dirname, '../../knative');

/** `engines` in package.json. */
const minimumNode = { major: 22, minor: 20 };

/** Runs a command and ends the process: with 0 on success, 2 for a wrong configuration or command line, 1 for any other failure. */
export async function runCommand(
  command: Command,
  args: readonly string[] = process.argv.slice(2),
): Promise<void> {
  const { name, isServer = false } = command;
  await runToExit({ name: isServer ? 'image-cloner' : name, isServer }, async () => {
    const given = await readOrHelp(command, args);
    if (typeof given === 'string') {
      print(given);
      return true;
    }
    if (command.needsCheckout === true && !existsSync(manifestsDir)) {
      throw new ConfigError([
        ...given.problems,
        `this command needs the manifests in knative/: run "npx image-cloner ${name}" in a checkout, after "npm ci"`,
      ]);
    }
    return await command.run(given);
  });
}

/** The help if it is asked for. */
async function readOrHelp(command: Command, args: readonly string[]): Promise<Arguments | string> {
  // A webhook that starts without arguments does not wait for the library that reads them.
  if (args.length === 0 && command.operands === undefined) {
    return { switches: new Set(), values: new Map(), positionals: [], problems: [] };
  }
  const { formatCommandHelp, formatUsage, readArguments } = await import('./command-line/index.ts');
  const given = readArguments(args, command);
  if (given.wantsHelp) return formatCommandHelp(command);
  const { findProblems = () => [] } = command;
  const problems = given.problems.length > 0 ? given.problems : findProblems(given);
  return { ...given, problems: problems.length === 0 ? [] : [...problems, formatUsage(command)] };
}

export interface ExitOptions {
  /** Begins every line on standard error. */
  readonly name: string;
  /** @default false */
  readonly isServer?: boolean;
}

/** Ends the process with the exit code of `run`, when everything is written. */
export async function runToExit(
  { name, isServer = false }: ExitOptions,
  run: () => Promise<boolean>,
): Promise<void> {
  // The package `debug`, a dependency of dockerode, would print whole requests with their credentials.
  delete process.env['DEBUG'];
  if (isServer) {
    for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  } else {
    process.stdout.on('error', ({ message }) => {
      process.stderr.write(`${name}: the output cannot be written: ${message}\n`);
      process.exit(1);
    });
  }
  const code = await runToEnd(name, run);
  // The callback follows everything that was written before, and the event of a failed write follows the callback.
  process.stdout.write('', () => setImmediate(() => process.exit(code)));
}

async function runToEnd(name: string, run: () => Promise<boolean>): Promise<number> {
  try {
    requireNode();
    return (await run()) ? 0 : 1;
  } catch (error) {
    const problems = error instanceof ConfigError ? error.problems : [toSentence(error)];
    for (const problem of problems) process.stderr.write(`${name}: ${problem}\n`);
    const isUsage =
      error instanceof ConfigError ||
      (error instanceof CloneError && error.code === 'INVALID_REFERENCE');
    return isUsage ? 2 : 1;
  }
}

export function toSentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Throws `ConfigError` if the Node.js that runs is too old: it would fail later, at the first function that it lacks. */
export function requireNode(version = process.versions.node): void {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const { major: minMajor, minor: minMinor } = minimumNode;
  if (major > minMajor || (major === minMajor && minor >= minMinor)) return;
  throw new ConfigError([
    `Node.js ${version} is too old: ${minMajor}.${minMinor} or newer is needed; "npm ci" installs one, which npm scripts, just and "npx node" use`,
  ]);
}

export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** What `--json` prints. Names from a registry may hold characters that terminals act on, of which JSON itself escapes only some. */
export function printJson(document: object): void {
  const text = JSON.stringify(document, undefined, 2);
  print(text.replaceAll(/[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]/gu, escapeUnits));
}

function escapeUnits(characters: string): string {
  return characters.replaceAll(
    /[^]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Fires at the first Ctrl-C, after `stop`; the second one ends the process. */
export function createInterruptSignal(stop: () => void = () => undefined): AbortSignal {
  const interrupt = new AbortController();
  process.on('SIGINT', () => {
    if (interrupt.signal.aborted) process.exit(1);
    process.stderr.write(
      'stopping: completed work is kept, and the next run continues from there\n',
    );
    stop();
    interrupt.abort();
  });
  return interrupt.signal;
}
