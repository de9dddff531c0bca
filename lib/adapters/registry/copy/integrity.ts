import { createSemaphore } from '../../../util/semaphore.ts';
import { isManifestType, parseManifest, type RepositoryClient } from '../client/index.ts';

/** Questions at a time. */
const parallel = 4;
/** As deep as an image may be that we copy. */
const maxDepth = 4;

/**
 * Whether a repository has a manifest and all that is below it. Layers that nobody may redistribute may be missing. Rejects where
 * the registry does not say.
 */
export async function isComplete(
  client: RepositoryClient,
  digest: string,
  signal: AbortSignal,
): Promise<boolean> {
  const limit = createSemaphore(parallel);
  const seen = new Set<string>();

  async function visit(reference: string, depth: number): Promise<boolean> {
    if (seen.has(reference) || depth > maxDepth) return true;
    seen.add(reference);
    const served = await limit.run(() => client.getManifest(reference, signal));
    if (served === undefined) return false;
    const manifest = parseManifest(served.bytes, served.mediaType);
    if (manifest.kind === 'index') {
      const children = manifest.manifests.filter(
        ({ mediaType }) => mediaType === '' || isManifestType(mediaType),
      );
      return await all(children.map((child) => visit(child.digest, depth + 1)));
    }
    const own = manifest.layers.filter(({ isForeign }) => !isForeign);
    const blobs = [manifest.config, ...own].filter((blob) => !seen.has(blob.digest));
    for (const blob of blobs) seen.add(blob.digest);
    return await all(
      blobs.map(async (blob) => !(await limit.run(() => client.lacksBlob(blob.digest, signal)))),
    );
  }

  return await visit(digest, 0);
}

async function all(answers: readonly Promise<boolean>[]): Promise<boolean> {
  return (await Promise.all(answers)).every(Boolean);
}
