import { findMissingParts, maxDepth } from '../../../image/image-tree.ts';
import {
  isManifestType,
  parseManifest,
  type RepositoryClient,
  requiredBlobs,
} from '../client/index.ts';
import { unsupported } from '../errors/index.ts';

const maxConcurrentRequests = 4;

/**
 * Whether a repository has a manifest and everything below it; layers that may not be redistributed may be missing. Rejects
 * if the registry gives no clear answer.
 */
export async function isComplete(
  client: RepositoryClient,
  root: string,
  signal: AbortSignal,
): Promise<boolean> {
  const missing = await findMissingParts(root, {
    async read(digest, depth) {
      if (depth > maxDepth) return { children: [], blobs: [] };
      const served = await client.getManifest(digest, signal);
      if (served === undefined) return undefined;
      const manifest = parseManifest(served.bytes, served.mediaType);
      if (manifest.kind === 'image') {
        return { children: [], blobs: requiredBlobs(manifest).map((blob) => blob.digest) };
      }
      const children = manifest.manifests.filter(
        ({ mediaType }) => mediaType === '' || isManifestType(mediaType),
      );
      return { children: children.map((child) => child.digest), blobs: [] };
    },
    hasBlob: async (digest) => !(await client.lacksBlob(digest, signal)),
    maxConcurrent: maxConcurrentRequests,
    tooLarge: unsupported,
  });
  return missing.length === 0;
}
