import { readdir, readFile, utimes } from 'node:fs/promises';
import { join } from 'node:path';

export interface SealOptions {
  readonly dir: string;
  /** `SOURCE_DATE_EPOCH`: seconds since 1970. */
  readonly epoch: number;
  /** Paths of this machine that have no business in an image. */
  readonly paths: readonly string[];
}

/** What may be in an image: the bundle and the licences in it. */
const allowed = /^(package\.json|[\w-]+\.js|[\w-]+\.js\.LEGAL\.txt)$/;
/** A key itself; libraries that read keys name the first line alone. */
const privateKey = /-----BEGIN [A-Z ]*PRIVATE KEY-----(?:\\n|\s)+[A-Za-z0-9+/=]{40}/;

/**
 * Sees that nothing is in the folder that must not be in an image, and gives everything the same time, so that the same source makes the
 * same layer, byte for byte. Rejects with one sentence.
 */
export async function seal({ dir, epoch, paths }: SealOptions): Promise<void> {
  for (const name of await readdir(dir)) {
    if (!allowed.test(name))
      throw new Error(`${name} is not of the bundle: it is not put into an image`);
    const text = await readFile(join(dir, name), 'utf8');
    if (privateKey.test(text)) throw new Error(`${name} holds a private key`);
    const path = paths.find((each) => text.includes(each));
    if (path !== undefined)
      throw new Error(`${name} names ${path}, which is of this machine alone`);
    await utimes(join(dir, name), epoch, epoch);
  }
  await utimes(dir, epoch, epoch);
}
