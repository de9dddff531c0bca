import { readFile, realpath, rename, stat, writeFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { ConfigError } from '../../lib/errors.ts';

export interface ManifestFile {
  /** For messages. */
  readonly name: string;
  /** Absent for standard input. */
  readonly path?: string;
  readonly text: string;
}

/** Rejects with `ConfigError` that names every file that cannot be read. */
export async function readFiles(paths: readonly string[]): Promise<readonly ManifestFile[]> {
  const problems: string[] = [];
  const read = async (path: string): Promise<ManifestFile | undefined> => {
    if (path === '-') return { name: 'standard input', text: await text(process.stdin) };
    try {
      return { name: path, path, text: await readFile(path, 'utf8') };
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
      problems.push(`${path} cannot be read (${code})`);
      return undefined;
    }
  };
  const files = await Promise.all((paths.length === 0 ? ['-'] : [...new Set(paths)]).map(read));
  if (problems.length > 0) throw new ConfigError(problems);
  return files.filter((file) => file !== undefined);
}

/** A reader never sees half of a file. Its permissions stay, and a link stays a link. */
export async function writeInPlace(path: string, content: string): Promise<void> {
  const file = await realpath(path);
  const { mode } = await stat(file);
  const next = `${file}.${process.pid}`;
  await writeFile(next, content, { mode });
  await rename(next, file);
}

/** One stream of documents. */
export function joinTexts(texts: readonly string[]): string {
  return texts.reduce((all, each) => {
    if (all === '') return each;
    const end = all.endsWith('\n') ? '' : '\n';
    return `${all}${end}${each.startsWith('---') ? '' : '---\n'}${each}`;
  }, '');
}
