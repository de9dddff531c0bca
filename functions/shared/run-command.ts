import { CloneError, ConfigError } from '../../lib/errors.ts';
import { type ArgumentSyntax, type Arguments, nearestName, readArguments } from './arguments.ts';

export interface Command extends ArgumentSyntax {
  /** Resolves with `false` if the command failed. */
  readonly run: (args: Arguments) => Promise<boolean>;
}

/** `engines` in package.json. */
const minimumNode = { major: 22, minor: 20 };

/** Runs a command and ends the process: with 0 on success, 2 for a wrong configuration or command line, 1 for any other failure. */
export async function runCommand(
  name: string,
  { run, ...syntax }: Command,
  args: readonly string[] = process.argv.slice(2),
): Promise<void> {
  // The package `debug`, a dependency of dockerode, would print whole requests with their credentials.
  delete process.env['DEBUG'];
  // The webhook has a listener of its own: it continues when its log has no reader.
  if (process.stdout.listenerCount('error') === 0) {
    process.stdout.on('error', ({ message }) => {
      process.stderr.write(`${name}: the output cannot be written: ${message}\n`);
      process.exit(1);
    });
  }
  const code = await runToEnd(name, async () => {
    const given = readArguments(args, syntax);
    if (!given.wantsHelp) {
      const problems = given.problems.length === 0 ? [] : [...given.problems, syntax.usage];
      return await run({ ...given, problems });
    }
    print(syntax.usage);
    return true;
  });
  // The callback follows everything that was written before, and the event of a failed write follows the callback.
  process.stdout.write('', () => setImmediate(() => process.exit(code)));
}

/** Runs the command that the first argument names. */
export async function runSubcommand(
  name: string,
  commands: Readonly<Record<string, Command>>,
): Promise<void> {
  const [word = '', ...args] = process.argv.slice(2);
  const command = Object.hasOwn(commands, word) ? commands[word] : undefined;
  if (command !== undefined) return await runCommand(word, command, args);
  const names = Object.keys(commands);
  const usage = `usage: ${names.join(' | ')}`;
  const nearest = nearestName(word, names);
  const suggestion = nearest === undefined ? '' : `; did you mean ${nearest}?`;
  const problems = word === '' ? [] : [`unknown command ${JSON.stringify(word)}${suggestion}`];
  const run = (): Promise<never> => Promise.reject(new ConfigError([...problems, usage]));
  await runCommand(name, { usage, run }, /^(-h|--help)$/.test(word) ? [word] : []);
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
