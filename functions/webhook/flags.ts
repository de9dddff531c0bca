import { parseArgs } from 'node:util';

/** How the program is called. */
export const usage =
  'usage: webhook [--port N] [--tls-cert-file FILE --tls-private-key-file FILE]; everything else comes from the environment, see README';

export interface Flags {
  /** As variables of the environment, whose names they have. */
  readonly variables: Readonly<Record<string, string>>;
  readonly asksForHelp: boolean;
  readonly problems: readonly string[];
}

/** The Go original's. */
const known = new Set(['port', 'tls-cert-file', 'tls-private-key-file']);

/** Reads the arguments of the program; those that can be read are also where others cannot. */
export function readFlags(args: readonly string[]): Flags {
  const text = { type: 'string' } as const;
  const { tokens } = parseArgs({
    args: [...args],
    // Told one by one, where the parser would stop at the first.
    strict: false,
    allowPositionals: true,
    tokens: true,
    options: {
      port: text,
      'tls-cert-file': text,
      'tls-private-key-file': text,
      help: { type: 'boolean', short: 'h' },
    },
  });
  const variables: Record<string, string> = {};
  const problems: string[] = [];
  let asksForHelp = false;
  for (const token of tokens) {
    if (token.kind === 'option-terminator') continue;
    if (token.kind === 'positional') problems.push('arguments without a flag mean nothing here');
    else if (token.name === 'help') asksForHelp = true;
    else if (!known.has(token.name)) problems.push(`there is no flag ${token.rawName}`);
    // The parser would take the next flag for a value.
    else if (!token.value || (!token.inlineValue && token.value.startsWith('-'))) {
      problems.push(`${token.rawName} needs a value`);
    } else variables[token.name.toUpperCase().replaceAll('-', '_')] = token.value;
  }
  const told = [...new Set(problems)];
  return { variables, asksForHelp, problems: told.length === 0 ? [] : [...told, usage] };
}
