import { CloneError, isFailureOf } from '../../../errors.ts';
import type { Backoff } from '../../../util/backoff.ts';
import { createSemaphore } from '../../../util/semaphore.ts';
import type { Layer, RepositoryClient, ServedManifest } from '../client/index.ts';
import { RegistryError } from '../errors/index.ts';
import { copyBlob } from './copy-blob.ts';
import { type ImageGraph, readGraph } from './read-graph.ts';
import type { UploadOnce } from './upload-once.ts';

/** The two ends of a copy, and what is particular about this one. */
export interface ImageCopy {
  readonly source: RepositoryClient;
  readonly target: RepositoryClient;
  /** By digest, for the target's repository. */
  readonly once: UploadOnce;
  /** Path of the source where both are one registry: blobs are mounted then. */
  readonly mountFrom: string | undefined;
  readonly maxImageBytes: number;
  /** The target may have manifests without what is below them. */
  readonly isMending: boolean;
  readonly toSourceError: (error: unknown) => unknown;
  readonly backoff: Backoff;
  readonly signal: AbortSignal;
  /** Of what is done, blobs that were there already were not moved. */
  readonly onProgress: (doneBytes: number, totalBytes: number, movedBytes: number) => void;
}

/** What a copy came to. */
export interface CopiedImage {
  /** That were moved. */
  readonly bytes: number;
  /** Layers that nobody may redistribute, and that the source did not have either. */
  readonly leftOut: number;
}

/** As dockerd and oras do; on one machine more buy nothing, on a network they hide latency. */
const parallelBlobs = 3;

/** Copies everything below `root` and `root` itself, without a tag: blobs first, then manifests, children before parents. */
export async function copyImage(root: ServedManifest, copy: ImageCopy): Promise<CopiedImage> {
  try {
    return await bringImage(root, copy);
  } catch (error) {
    copy.signal.throwIfAborted();
    if (copy.isMending || !lacksParts(error)) throw error;
    // What was there when we looked is gone: older images are pruned, and garbage is collected.
    return await bringImage(root, { ...copy, isMending: true });
  }
}

async function bringImage(root: ServedManifest, copy: ImageCopy): Promise<CopiedImage> {
  const graph = await readGraph(root, copy);
  if (graph.totalBytes > copy.maxImageBytes) {
    throw new RegistryError(
      'UNSUPPORTED',
      `it has ${graph.totalBytes} bytes, and MAX_IMAGE_BYTES is ${copy.maxImageBytes}`,
    );
  }
  const copied = await copyBlobs(graph, copy);
  try {
    for (const manifest of graph.manifests) {
      await copy.target.putManifest(manifest.digest, manifest, copy.signal);
      // Where its disk was full, distribution 2.8 keeps an empty file, and says ever after that it has written the manifest.
      await copy.target.hasManifest(manifest.digest, copy.signal);
    }
  } catch (error) {
    copy.signal.throwIfAborted();
    throw isRefusal(error) && graph.blobs.some(({ isForeign }) => isForeign)
      ? foreign(error)
      : error;
  }
  return copied;
}

async function copyBlobs({ blobs, totalBytes }: ImageGraph, copy: ImageCopy): Promise<CopiedImage> {
  // The first that fails ends the others: nobody waits for what cannot become an image any more.
  const failed = new AbortController();
  const signal = AbortSignal.any([copy.signal, failed.signal]);
  const limit = createSemaphore(parallelBlobs);
  let doneBytes = 0;
  let movedBytes = 0;
  copy.onProgress(doneBytes, totalBytes, movedBytes);
  let leftOut = 0;
  const report = (bytes: number, moved: number): void => {
    doneBytes += bytes;
    movedBytes += moved;
    copy.onProgress(doneBytes, totalBytes, movedBytes);
  };

  async function bring(blob: Layer): Promise<number> {
    signal.throwIfAborted();
    let counted = 0;
    const onBytes = (bytes: number): void => {
      counted += bytes;
      report(bytes, bytes);
    };
    const moved = await copy.once(blob.digest, signal, () =>
      copyBlob({ ...copy, descriptor: blob, signal, onBytes }),
    );
    report(blob.size - counted, 0);
    return moved;
  }

  async function bringOrLeaveOut(blob: Layer): Promise<number> {
    try {
      return await bring(blob);
    } catch (error) {
      if (!blob.isForeign || !isMissing(error)) {
        failed.abort(error);
        throw error;
      }
      leftOut += 1;
      return 0;
    }
  }

  const all = blobs.map((blob) => limit.run(() => bringOrLeaveOut(blob)));
  const results = await Promise.allSettled(all);
  copy.signal.throwIfAborted();
  if (failed.signal.aborted) throw failed.signal.reason;
  const moved = results.map((result) => (result.status === 'fulfilled' ? result.value : 0));
  return { bytes: moved.reduce((sum, bytes) => sum + bytes, 0), leftOut };
}

/** A layer that its owner lets nobody redistribute may be missing everywhere; nodes fetch it from its own address. */
function isMissing(error: unknown): boolean {
  return isFailureOf('source', error, ['NOT_FOUND']);
}

/** The target misses what is below a manifest. */
function lacksParts(error: unknown): boolean {
  const cause = error instanceof CloneError ? error.cause : undefined;
  return cause instanceof RegistryError && cause.code === 'MANIFEST_BLOB_UNKNOWN';
}

function isRefusal(error: unknown): boolean {
  return isFailureOf('backup', error, ['REFUSED']);
}

/** distribution 2.8, as it comes, takes no manifest whose layers have addresses of their own, even if it has the layers. */
function foreign(cause: unknown): RegistryError {
  const message =
    'it has layers that may not be redistributed (Windows), and the backup registry takes no such images';
  return new RegistryError('UNSUPPORTED', message, { cause });
}
