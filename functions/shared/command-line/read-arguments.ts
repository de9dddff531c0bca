import { Command as Parser } from 'commander';
import { toPrintable } from '../../../lib/util/printable.ts';
import type { Arguments, CommandSyntax, Option } from './command.ts';
import { nearestName } from './nearest-name.ts';

export interface ReadArguments extends Arguments {
  readonly wantsHelp: boolean;
}

type Options = Readonly<Record<string, Option>>;

/** Reads a command line. It reports every mistake, where commander alone stops at the first and prints the values of unknown options. */
export function readArguments(
  args: readonly string[],
  { operands = [], options = {} }: CommandSyntax,
): ReadArguments {
  const switches = new Set<string>();
  const values = new Map<string, string>();
  const positionals: string[] = [];
  const problems = new Set<string>();
  const takeValue = (name: string, option: Option, value: string): void => {
    const problem = findProblem(name, option, value);
    if (problem === undefined) values.set(name, value);
    else problems.add(problem);
  };
  const parser = createParser(options, (name, option, value) => {
    if (option.type === 'switch') switches.add(name);
    else if (takesInlineValue(option)) values.set(name, '');
    else takeValue(name, option, value ?? '');
  });
  const { operands: words, unknown } = parser.parseOptions([...args]);
  const maxPositionals = operands.at(-1)?.isRepeated ? Number.POSITIVE_INFINITY : operands.length;
  const takeWord = (word: string): void => {
    if (positionals.length < maxPositionals) positionals.push(word);
    else problems.add(toUnexpected(word, options));
  };
  words.forEach(takeWord);

  // Commander leaves here the first option that it does not know, and every word behind it.
  const terminator = unknown.indexOf('--');
  const rest = terminator < 0 ? unknown : unknown.slice(0, terminator);
  for (const [index, argument] of rest.entries()) {
    if (!isOption(argument)) {
      // The value of an unknown option may be a password, so it is never printed.
      const before = rest[index - 1] ?? '';
      if (!isOption(before) || before.includes('=')) takeWord(argument);
      continue;
    }
    const { name, value } = splitOption(argument);
    const option = Object.hasOwn(options, name) ? options[name] : undefined;
    if (option === undefined || value === undefined) {
      if (!isHelp(argument)) problems.add(toUnknown(argument, options));
    } else if (option.type === 'switch') problems.add(`--${name} takes no value`);
    else takeValue(name, option, value);
  }
  if (terminator >= 0) unknown.slice(terminator + 1).forEach(takeWord);

  const missing = operands
    .slice(positionals.length)
    .filter(({ isOptional = false }) => !isOptional)
    .map(({ name }) => `${name} is missing`);
  const mistaken = positionals.flatMap((word, index) => {
    const { name, choices } = operands[index] ?? {};
    return choices === undefined || choices.includes(word)
      ? []
      : [`${name} must be ${formatChoices(choices)}`];
  });
  return {
    switches,
    values,
    positionals,
    wantsHelp: rest.some(isHelp),
    problems: [...problems, ...missing, ...mistaken],
  };
}

/** @param onOption called with the value if there is one that cannot be another option */
function createParser(
  options: Options,
  onOption: (name: string, option: Option, value: string | null | undefined) => void,
): Parser {
  const parser = new Parser();
  for (const [name, option] of Object.entries(options)) {
    // An optional value for commander: it would take the next option for a required one.
    const takesValue = option.type !== 'switch' && !takesInlineValue(option);
    parser.option(takesValue ? `--${name} [value]` : `--${name}`);
    parser.on(`option:${name}`, (value?: string | null) => onOption(name, option, value));
  }
  return parser;
}

function takesInlineValue(option: Option): boolean {
  return option.type === 'text' && option.isValueOptional === true;
}

function findProblem(name: string, option: Option, value: string): string | undefined {
  if (value === '') return `--${name} needs a value`;
  switch (option.type) {
    case 'switch':
    case 'text':
      return undefined;
    case 'choice': {
      const { choices } = option;
      return choices.includes(value) ? undefined : `--${name} must be ${formatChoices(choices)}`;
    }
    case 'number': {
      const { min, max } = option;
      const isValid = /^\d{1,9}$/.test(value) && Number(value) >= min && Number(value) <= max;
      return isValid ? undefined : `--${name} must be a whole number from ${min} to ${max}`;
    }
  }
}

function formatChoices(choices: readonly string[]): string {
  return choices.join(' or ');
}

function isOption(argument: string): boolean {
  return argument.length > 1 && argument.startsWith('-');
}

function isHelp(argument: string): boolean {
  return argument === '--help' || argument === '-h';
}

function splitOption(argument: string): { readonly name: string; readonly value?: string } {
  const at = argument.indexOf('=');
  if (at < 0) return { name: argument.replace(/^--/, '') };
  return { name: argument.slice(0, at).replace(/^--/, ''), value: argument.slice(at + 1) };
}

function toUnexpected(argument: string, options: Options): string {
  const [word = ''] = argument.split('=', 1);
  const shown = JSON.stringify(toPrintable(word === argument ? word : `${word}=…`));
  return `unexpected argument ${shown}${suggest(word, options)}`;
}

function toUnknown(argument: string, options: Options): string {
  const [flag = ''] = argument.split('=', 1);
  const suggestion = suggest(flag, options);
  // `-phunter2` without a suggestion may be a password behind a short option.
  const shown = flag.startsWith('--') || suggestion !== '' ? flag : flag.slice(0, 2);
  return `unknown flag ${toPrintable(shown)}${suggestion}`;
}

function suggest(word: string, options: Options): string {
  const nearest = nearestName(word, [...Object.keys(options), 'help']);
  return nearest === undefined ? '' : `; did you mean --${nearest}?`;
}
