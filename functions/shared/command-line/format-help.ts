import { Argument, Command as Page } from 'commander';
import { type Command, type CommandSyntax, type Option, programName } from './command.ts';

/** A program with several commands. */
export interface Program {
  readonly name: string;
  readonly description: string;
  /** Absent: there is no `--version`. */
  readonly version?: string;
  readonly groups: readonly CommandGroup[];
}

/** Commands that belong together in the help. */
export interface CommandGroup {
  readonly title: string;
  readonly commands: readonly Command[];
}

const exitCodes: Readonly<Record<0 | 1 | 2, string>> = {
  0: 'done',
  1: 'failed, or something is not as it should be',
  2: 'the command line or a variable is wrong, and nothing was changed; every problem has its own line on stderr',
};

/** `image-cloner NAME --help` */
export function formatCommandHelp(command: Command): string {
  const { name, operands = [], options = {}, description, examples } = command;
  const page = createPage(`${programName} ${name}`, formatSyntax(command), description);
  for (const operand of operands) page.addArgument(new Argument(operand.name, operand.summary));
  for (const [flag, option] of Object.entries(options)) {
    page.option(formatFlag(flag, option), option.summary);
  }
  const help = page.createHelp();
  const codes = Object.entries({ ...exitCodes, ...command.exitCodes });
  return [
    page.helpInformation().trimEnd(),
    '',
    'Exit codes:',
    ...codes.map(([code, meaning]) => help.formatItem(code, 1, meaning, help)),
    '',
    'Examples:',
    ...examples.flatMap(({ command: line, explanation }) => [`  # ${explanation}`, `  ${line}`]),
  ].join('\n');
}

/** `image-cloner --help` */
export function formatProgramHelp({ name, description, version, groups }: Program): string {
  const page = createPage(name, 'COMMAND [OPTION…]', description)
    .helpCommand(false)
    .configureHelp({ subcommandTerm: (command) => command.name() });
  if (version !== undefined) page.version(version, '-V, --version', 'show the version');
  for (const { title, commands } of groups) {
    for (const command of commands) {
      page.command(command.name).description(command.summary).helpGroup(`${title}:`);
    }
  }
  return `${page.helpInformation()}
"${name} COMMAND --help" shows what a command does, with its options, exit codes and examples.`;
}

/** One line, behind the mistakes of a command line. */
export function formatUsage(command: Command): string {
  return `usage: ${programName} ${command.name} ${formatSyntax(command)}; "${programName} ${command.name} --help" explains it`;
}

/** `[OPTION…] IMAGE…` */
function formatSyntax({ operands = [] }: CommandSyntax): string {
  const words = operands.map(({ name, isOptional = false, isRepeated = false }) => {
    const word = isRepeated ? `${name}…` : name;
    return isOptional ? `[${word}]` : word;
  });
  return ['[OPTION…]', ...words].join(' ');
}

function createPage(name: string, usage: string, description: string): Page {
  const page = new Page(name).usage(usage).description(description);
  return page.helpOption('-h, --help', 'show this help');
}

function formatFlag(name: string, option: Option): string {
  switch (option.type) {
    case 'switch':
      return `--${name}`;
    case 'text':
      return option.isValueOptional ? `--${name}[=${option.value}]` : `--${name} ${option.value}`;
    case 'choice':
      return `--${name} ${option.choices.join('|')}`;
    case 'number':
      return `--${name} ${option.value}`;
  }
}
