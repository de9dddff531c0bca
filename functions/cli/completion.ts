import { ConfigError } from '../../lib/errors.ts';
import type { Command, CommandGroup } from '../shared/command-line/index.ts';
import { print } from '../shared/run-command.ts';
import { formatCompletion, shells } from './format-completion.ts';

/** The command that completes all of `groups`, and itself. */
export function createCompletion(program: string, groups: readonly CommandGroup[]): Command {
  const completion: Command = {
    name: 'completion',
    summary: 'print a script that completes commands and options in a shell',
    description: `The script knows the commands of this version and starts no program. It completes the word ${program}: in a checkout, alias ${program}='npx ${program}' makes it one.`,
    operands: [{ name: 'SHELL', summary: 'bash, zsh or fish', choices: shells }],
    examples: [
      {
        command: `eval "$(${program} completion bash)"`,
        explanation: 'in ~/.bashrc; for zsh in ~/.zshrc, behind compinit',
      },
      {
        command: `${program} completion fish > ~/.config/fish/completions/${program}.fish`,
        explanation: 'for fish',
      },
    ],
    run: ({ positionals, problems }) => {
      const shell = shells.find((each) => each === positionals[0]);
      if (shell === undefined || problems.length > 0) throw new ConfigError(problems);
      const commands = groups.flatMap((group) => group.commands);
      print(formatCompletion(shell, program, [...commands, completion]));
      return Promise.resolve(true);
    },
  };
  return completion;
}
