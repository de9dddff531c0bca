/** What a person sees of the demo: colours on a terminal, plain text in a pipe. */
export interface Narrator {
  title(text: string): void;
  say(text: string): void;
  /** What somebody types. */
  command(text: string): void;
  /** What a program answers, indented. */
  output(text: string): void;
  good(text: string): void;
  warning(text: string): void;
}

export interface NarratorOptions {
  readonly write: (text: string) => void;
  readonly isColoured: boolean;
}

const codes = { bold: 1, dim: 2, green: 32, yellow: 33, cyan: 36 } as const;

export function createNarrator({ write, isColoured }: NarratorOptions): Narrator {
  const paint = (colour: keyof typeof codes, text: string): string =>
    isColoured ? `\u001b[${codes[colour]}m${text}\u001b[0m` : text;

  return {
    title: (text) => write(`\n${paint('bold', text)}\n`),
    say: (text) => write(`${text}\n`),
    command: (text) => write(`  ${paint('cyan', `$ ${text}`)}\n`),
    output: (text) => write(`${paint('dim', indent(text))}\n`),
    good: (text) => write(`  ${paint('green', '✔')} ${text}\n`),
    warning: (text) => write(`  ${paint('yellow', 'Warning:')} ${text}\n`),
  };
}

function indent(text: string): string {
  return text.replaceAll(/^/gm, '    ');
}
