import { createLimit } from '../../cloner/limit.ts';
import { copyBlob } from './blob.ts';
import type { RepositoryClient, ServedManifest } from './client.ts';
import { RegistryError } from './failure.ts';
import { type ImageGraph, readGraph } from './graph.ts';
import type { Layer } from './manifest.ts';

/** The two ends of a copy, and what is particular about this one. */
export interface ImageCopy {
  readonly source: RepositoryClient;
  readonly target: RepositoryClient;
  /** Makes one upload of all that run for the same repository and digest at the same time. */
  readonly once: (digest: string, upload: () => Promise<number>) => Promise<number>;
  /** Path of the source where both are one registry: blobs are mounted then. */
  readonly mountFrom: string | undefined;
  readonly maxImageBytes: number;
  readonly toSourceError: (error: unknown) => unknown;
  readonly signal: AbortSignal;
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
}

/** As dockerd and oras do; on one machine more buy nothing, on a network they hide latency. */
const parallelBlobs = 3;

/**
 * Copies everything below `root` and `root` itself, without a tag: blobs first, then manifests, children before parents.
 * Resolves with the bytes that were moved.
 */
export async function copyImage(root: ServedManifest, copy: ImageCopy): Promise<number> {
  const graph = await readGraph(root, copy.source, copy.target, copy.signal);
  if (graph.totalBytes > copy.maxImageBytes) {
    throw new RegistryError(
      'UNSUPPORTED',
      `it has ${graph.totalBytes} bytes, and MAX_IMAGE_BYTES is ${copy.maxImageBytes}`,
    );
  }
  const moved = await copyBlobs(graph, copy);
  for (const manifest of graph.manifests) {
    await copy.target.putManifest(manifest.digest, manifest, copy.signal);
  }
  return moved;
}

async function copyBlobs({ blobs, totalBytes }: ImageGraph, copy: ImageCopy): Promise<number> {
  // The first that fails ends the others: nobody waits for what cannot become an image any more.
  const failed = new AbortController();
  const signal = AbortSignal.any([copy.signal, failed.signal]);
  const limit = createLimit(parallelBlobs);
  let doneBytes = 0;
  const report = (bytes: number): void => {
    doneBytes += bytes;
    copy.onProgress(doneBytes, totalBytes);
  };

  async function bring(blob: Layer): Promise<number> {
    signal.throwIfAborted();
    let counted = 0;
    const onBytes = (bytes: number): void => {
      counted += bytes;
      report(bytes);
    };
    const moved = await copy.once(blob.digest, () =>
      copyBlob({ ...copy, descriptor: blob, signal, onBytes }),
    );
    report(blob.size - counted);
    return moved;
  }

  const all = blobs.map((blob) =>
    limit
      .run(() => bring(blob))
      .catch((error: unknown) => {
        if (blob.isForeign && isMissing(error)) return 0;
        failed.abort(error);
        throw error;
      }),
  );
  const results = await Promise.allSettled(all);
  copy.signal.throwIfAborted();
  if (failed.signal.aborted) throw failed.signal.reason;
  return results.reduce(
    (sum, result) => sum + (result.status === 'fulfilled' ? result.value : 0),
    0,
  );
}

/** A layer that its owner lets nobody redistribute may be missing everywhere; nodes fetch it from its own address. */
function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'SOURCE_NOT_FOUND';
}
