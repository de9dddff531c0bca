import { createInterface } from 'node:readline/promises';

/**
 * Asks a question on the terminal. Without a terminal nobody can answer: `--yes` answers beforehand, and without it the answer is no.
 */
export async function confirm(question: string, isAgreed: boolean): Promise<boolean> {
  if (isAgreed) return true;
  if (!process.stdin.isTTY) {
    process.stderr.write(`${question} Without a terminal, add --yes.\n`);
    return false;
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await terminal.question(`${question} [y/N] `)).trim());
  } finally {
    terminal.close();
  }
}
