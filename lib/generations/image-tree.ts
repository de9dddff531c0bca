import { CloneError } from '../errors.ts';
import { findMissingParts, readTree } from '../image/image-tree.ts';
import type { BackupManifest, BackupRepository } from '../ports/index.ts';
import { maxConcurrentRequests } from './generations.ts';

/** All manifests below a digest. */
export interface ImageTree {
  /** Itself included, parents before children; those that are missing last. */
  readonly manifests: ReadonlySet<string>;
  /** Manifests that the backup does not have. */
  readonly missing: readonly string[];
}

/** Reads an image in the backup from its root down. */
export async function readImageTree(
  repository: BackupRepository,
  root: string,
  signal: AbortSignal,
): Promise<ImageTree> {
  const options = { ...readerOf(repository, root, signal), maxConcurrent: 1 };
  const { nodes, missing } = await readTree(root, options);
  return { manifests: new Set([...[...nodes.keys()].toReversed(), ...missing]), missing };
}

/** What an image in the backup lacks; empty if a node can pull it. */
export async function findMissing(
  repository: BackupRepository,
  root: string,
  signal: AbortSignal,
): Promise<readonly string[]> {
  return await findMissingParts(root, {
    ...readerOf(repository, root, signal),
    hasBlob: (digest) => repository.hasBlob(digest, signal),
    maxConcurrent: maxConcurrentRequests,
  });
}

function readerOf(
  repository: BackupRepository,
  root: string,
  signal: AbortSignal,
): {
  readonly read: (digest: string) => Promise<BackupManifest | undefined>;
  readonly tooLarge: (message: string) => Error;
} {
  return {
    read: (digest) => repository.read(digest, signal),
    tooLarge: (message) =>
      new CloneError('BACKUP_UNSUPPORTED', `${root} in the backup cannot be read: ${message}`),
  };
}
