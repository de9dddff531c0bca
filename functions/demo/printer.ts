/** Prints the demo: with colours on a terminal, as plain text in a pipe. */
export interface Printer {
  title(text: string): void;
  line(text: string): void;
  /** A shell command that a user types. */
  command(text: string): void;
  /** The indented output of a program. */
  output(text: string): void;
  success(text: string): void;
  warning(text: string): void;
}

export interface PrinterOptions {
  readonly write: (text: string) => void;
  readonly isColoured: boolean;
}

const codes = { bold: 1, dim: 2, green: 32, yellow: 33, cyan: 36 } as const;

export function createPrinter({ write, isColoured }: PrinterOptions): Printer {
  const paint = (colour: keyof typeof codes, text: string): string =>
    isColoured ? `\u001b[${codes[colour]}m${text}\u001b[0m` : text;

  return {
    title: (text) => write(`\n${paint('bold', text)}\n`),
    line: (text) => write(`  ${text}\n`),
    command: (text) => write(`  ${paint('cyan', `$ ${text}`)}\n`),
    output: (text) => write(`${paint('dim', indent(text))}\n`),
    success: (text) => write(`  ${paint('green', '✔')} ${text}\n`),
    warning: (text) => write(`  ${paint('yellow', 'Warning:')} ${text}\n`),
  };
}

function indent(text: string): string {
  return text.replaceAll(/^/gm, '    ');
}
