import { isFailureOf } from '../../../errors.ts';
import type { RepositoryClient, ServedManifest } from '../client/index.ts';

/** Succeeds also if the registry rejects the write because tags are immutable, and the tag holds the manifest already. */
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
