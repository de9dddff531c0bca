import { ConfigError } from '../../lib/errors.ts';
import { toPrintable } from '../../lib/util/printable.ts';
import { formatProgramHelp, nearestName, type Program } from './command-line/index.ts';
import { print, runCommand, runToExit } from './run-command.ts';

const helpFlags = ['-h', '--help'];
const versionFlags = ['-V', '--version'];

/** Runs the command that the first argument names. `help NAME` is `NAME --help`. */
export async function runProgram(
  program: Program,
  args: readonly string[] = process.argv.slice(2),
): Promise<void> {
  const [word = '', ...rest] = args[0] === 'help' ? [...args.slice(1), '--help'] : args;
  const commands = program.groups.flatMap((group) => group.commands);
  const command = commands.find(({ name }) => name === word);
  if (command !== undefined) return await runCommand(command, rest);
  const { version } = program;
  const names = commands.map(({ name }) => name);
  await runToExit(program, () => {
    if (helpFlags.includes(word)) print(formatProgramHelp(program));
    else if (version !== undefined && versionFlags.includes(word)) print(version);
    else throw new ConfigError(toProblems(program.name, word, names));
    return Promise.resolve(true);
  });
}

function toProblems(program: string, word: string, names: readonly string[]): readonly string[] {
  const usage = `usage: ${program} COMMAND [OPTION…]; "${program} --help" lists the commands`;
  if (word === '') return [usage];
  const nearest = nearestName(word, names);
  const suggestion = nearest === undefined ? '' : `; did you mean ${nearest}?`;
  const shown = JSON.stringify(toPrintable(word.split('=', 1)[0] ?? ''));
  return [`unknown command ${shown}${suggestion}`, usage];
}
