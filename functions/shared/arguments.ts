import { parseArgs } from 'node:util';
import { editDistance } from '../../lib/util/edit-distance.ts';
import { toPrintable } from '../../lib/util/printable.ts';

/** What a command line may hold. Every command has `--help` and `-h` besides. */
export interface ArgumentSyntax {
  readonly usage: string;
  readonly flags?: Readonly<Record<string, 'boolean' | 'string'>>;
  /** @default 0 */
  readonly maxPositionals?: number;
}

export interface Arguments {
  /** The boolean flags that are set. */
  readonly switches: ReadonlySet<string>;
  readonly values: ReadonlyMap<string, string>;
  readonly positionals: readonly string[];
  readonly wantsHelp: boolean;
  /** One sentence for each mistake, without the usage. */
  readonly problems: readonly string[];
}

/** Reads a command line. It reports every mistake, where the strict parser of Node stops at the first. */
export function readArguments(
  args: readonly string[],
  { flags = {}, maxPositionals = 0 }: Omit<ArgumentSyntax, 'usage'>,
): Arguments {
  const known: NonNullable<ArgumentSyntax['flags']> = { ...flags, help: 'boolean' };
  const { tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries(
      Object.entries(known).map(([name, type]) => [
        name,
        { type, ...(name === 'help' && { short: 'h' }) },
      ]),
    ),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const switches = new Set<string>();
  const values = new Map<string, string>();
  const positionals: string[] = [];
  const problems = new Set<string>();
  let unknownAt = Number.NaN;
  for (const token of tokens) {
    if (token.kind === 'option-terminator') continue;
    if (token.kind === 'positional') {
      if (positionals.length < maxPositionals) positionals.push(token.value);
      // The value of an unknown flag may be a password, so it is never printed.
      else if (token.index !== unknownAt + 1) {
        const [word = ''] = token.value.split('=', 1);
        const shown = JSON.stringify(toPrintable(word === token.value ? word : `${word}=…`));
        problems.add(`unexpected argument ${shown}${suggestFlag(word, known)}`);
      }
    } else if (!Object.hasOwn(known, token.name) || isGroup(token.rawName, args[token.index])) {
      unknownAt = token.index;
      problems.add(toUnknownFlag(token.rawName, args[token.index] ?? '', known));
    } else if (known[token.name] === 'boolean') {
      if (token.value === undefined) switches.add(token.name);
      else problems.add(`${token.rawName} takes no value`);
    }
    // Without `=`, Node takes the next flag for the value.
    else if (!token.value || (!token.inlineValue && token.value.startsWith('-'))) {
      problems.add(`${token.rawName} needs a value`);
    } else values.set(token.name, token.value);
  }
  const wantsHelp = switches.delete('help');
  return { switches, values, positionals, wantsHelp, problems: [...problems] };
}

/** Node reads `-apply` as the five flags `-a` to `-y`, and no command has two short flags. */
function isGroup(rawName: string, argument: string | undefined): boolean {
  return !rawName.startsWith('--') && rawName !== argument;
}

function toUnknownFlag(rawName: string, argument: string, known: object): string {
  if (rawName.startsWith('--')) {
    return `unknown flag ${toPrintable(rawName)}${suggestFlag(rawName, known)}`;
  }
  const suggestion = suggestFlag(argument.slice(1), known);
  // Without a suggestion, the rest of a group may be a password.
  const shown = suggestion === '' ? argument.slice(0, 2) : argument;
  return `unknown flag ${toPrintable(shown)}${suggestion}`;
}

function suggestFlag(word: string, known: object): string {
  const nearest = nearestName(word, Object.keys(known));
  return nearest === undefined ? '' : `; did you mean --${nearest}?`;
}

/** The name that a misspelt or shortened `word` most likely means. */
export function nearestName(word: string, names: readonly string[]): string | undefined {
  const normalized = word.toLowerCase().replace(/^-+/, '').replaceAll('_', '-');
  const [nearest] = names
    .map((name) => ({ name, distance: editDistance(normalized, name) }))
    .filter(({ name, distance }) => distance <= Math.max(1, Math.floor(name.length / 3)))
    .toSorted((a, b) => a.distance - b.distance);
  if (nearest !== undefined) return nearest.name;
  return names.find((name) => normalized.length > 2 && name.startsWith(normalized));
}
