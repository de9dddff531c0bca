import { isFailureOf } from '../../../errors.ts';
import type { RepositoryClient, ServedManifest } from '../client/index.ts';

/** Where tags cannot be moved, one that is right already is as good as written. */
export async function writeTag(
  target: RepositoryClient,
  tag: string,
  root: ServedManifest,
  signal: AbortSignal,
): Promise<void> {
  try {
    await target.putManifest(tag, root, signal);
  } catch (error) {
    if (!isFailureOf('backup', error, ['REFUSED'])) throw error;
    const held = await target.headManifest(tag, signal);
    if (held?.digest !== root.digest) throw error;
  }
}
