import { readdir, readFile, utimes } from 'node:fs/promises';
import { join } from 'node:path';

export interface FinalizeBundleOptions {
  readonly dir: string;
  /** `SOURCE_DATE_EPOCH`: seconds since 1970. */
  readonly epoch: number;
  /** Paths of the build machine, which no file may contain. */
  readonly paths: readonly string[];
}

/** Files that may be in the image: the bundle and the licences of its packages. */
const allowed = /^(package\.json|[\w-]+\.js|[\w-]+\.js\.LEGAL\.txt)$/;
/** Matches a whole key; a library that parses keys contains only the first line. */
const privateKey = /-----BEGIN [A-Z ]*PRIVATE KEY-----(?:\\n|\s)+[A-Za-z0-9+/=]{40}/;

/**
 * Rejects a bundle with a file that must not be in the image, and sets one time on every file,
 * so that the same source gives the same layer, byte for byte.
 */
export async function finalizeBundle({ dir, epoch, paths }: FinalizeBundleOptions): Promise<void> {
  for (const name of await readdir(dir)) {
    if (!allowed.test(name)) throw refusal(name, 'it is not a file of the bundle');
    const text = await readFile(join(dir, name), 'utf8');
    if (privateKey.test(text)) throw refusal(name, 'it contains a private key');
    const path = paths.find((each) => text.includes(each));
    if (path !== undefined) throw refusal(name, `it contains ${path}, a path of the build machine`);
    await utimes(join(dir, name), epoch, epoch);
  }
  await utimes(dir, epoch, epoch);
}

function refusal(name: string, why: string): Error {
  return new Error(`${name} cannot be put into the image: ${why}`);
}
