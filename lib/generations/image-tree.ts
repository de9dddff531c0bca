import type { BackupRepository } from '../ports/index.ts';
import { mapConcurrently } from '../util/semaphore.ts';
import { maxConcurrentRequests } from './generations.ts';

/** Deeper than any image is nested. */
const maxManifests = 1_000;

/** All manifests below a digest, itself included, and the blobs that they name. */
export interface ImageTree {
  readonly manifests: ReadonlySet<string>;
  readonly blobs: ReadonlySet<string>;
  /** Manifests that the backup does not have. */
  readonly missing: readonly string[];
}

/** Reads an image in the backup from its root down. */
export async function readImageTree(
  repository: BackupRepository,
  root: string,
  signal: AbortSignal,
): Promise<ImageTree> {
  const manifests = new Set([root]);
  const blobs = new Set<string>();
  const missing: string[] = [];
  // A set is read in the order in which it grows.
  for (const digest of manifests) {
    if (manifests.size > maxManifests) throw new RangeError(`${root} has too many parts`);
    const manifest = await repository.read(digest, signal);
    if (manifest === undefined) missing.push(digest);
    for (const child of manifest?.children ?? []) manifests.add(child);
    for (const blob of manifest?.blobs ?? []) blobs.add(blob);
  }
  return { manifests, blobs, missing };
}

/** What an image in the backup lacks; nothing where a node could pull it. */
export async function findMissing(
  repository: BackupRepository,
  root: string,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { blobs, missing } = await readImageTree(repository, root, signal);
  if (missing.length > 0) return missing;
  const held = await mapConcurrently([...blobs], maxConcurrentRequests, async (digest) => ({
    digest,
    isThere: await repository.hasBlob(digest, signal),
  }));
  return held.filter(({ isThere }) => !isThere).map(({ digest }) => digest);
}
