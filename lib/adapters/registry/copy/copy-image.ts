import { CloneError, isFailureOf } from '../../../errors.ts';
import { mapConcurrently, type Semaphore } from '../../../util/semaphore.ts';
import { isIndexType, type Layer, type ServedManifest } from '../client/index.ts';
import { RegistryError, unsupported } from '../errors/index.ts';
import { type BlobCopy, copyBlob } from './copy-blob.ts';
import { type ImageGraph, type ImageGraphOptions, readGraph } from './read-graph.ts';
import type { UploadOnce } from './upload-once.ts';

/** One copy between two repositories. */
export interface ImageCopy
  extends ImageGraphOptions,
    Pick<
      BlobCopy,
      'mountFrom' | 'sharing' | 'parts' | 'turns' | 'sourceHost' | 'toSourceError' | 'backoff'
    > {
  /** By digest, for the target's repository. */
  readonly uploadOnce: UploadOnce;
  /** Limits the blobs that all copies read from the source's registry at once. */
  readonly hostLimit: Pick<Semaphore, 'run'>;
  readonly maxImageBytes: number;
  /** `doneBytes` includes blobs that the target had, `movedBytes` does not. */
  readonly onProgress: (doneBytes: number, totalBytes: number, movedBytes: number) => void;
}

export interface CopiedImage {
  /** Sent to the target. */
  readonly bytes: number;
  /** Layers that may not be redistributed, and that the source does not have. */
  readonly skippedLayers: number;
}

/** Small blobs wait for round trips and not for bandwidth, and do not queue behind large ones. */
const smallBytes = 1024 * 1024;
const maxConcurrentBlobs = { small: 16, large: 6 };
const maxConcurrentManifests = 8;

/** Copies an image without a tag: blobs, then manifests, children before parents. */
export async function copyImage(root: ServedManifest, copy: ImageCopy): Promise<CopiedImage> {
  try {
    return await copyTree(root, copy);
  } catch (error) {
    copy.signal.throwIfAborted();
    if (copy.isRepair || !lacksParts(error)) throw error;
    // Since the check, the target has lost parts: to a prune, or to garbage collection.
    return await copyTree(root, { ...copy, isRepair: true });
  }
}

async function copyTree(root: ServedManifest, copy: ImageCopy): Promise<CopiedImage> {
  const graph = await readGraph(root, copy);
  if (graph.totalBytes > copy.maxImageBytes) {
    throw unsupported(
      `it has ${graph.totalBytes} bytes, more than MAX_IMAGE_BYTES (${copy.maxImageBytes})`,
    );
  }
  const copied = await copyBlobs(graph, copy);
  try {
    await writeManifests(graph, copy);
  } catch (error) {
    copy.signal.throwIfAborted();
    const explanation = explainRefusal(graph, copy);
    if (explanation === undefined || !isFailureOf('backup', error, ['REFUSED'])) throw error;
    throw unsupported(explanation, error);
  }
  return copied;
}

/** Images first, because an index must not precede what it lists. */
async function writeManifests(
  { manifests }: ImageGraph,
  { target, signal }: ImageCopy,
): Promise<void> {
  async function write(manifest: ServedManifest): Promise<void> {
    signal.throwIfAborted();
    await target.putManifest(manifest.digest, manifest, signal);
    // After a full disk, distribution 2.8 accepts the manifest and keeps an empty file.
    await target.assertStored(manifest.digest, signal);
  }

  const images = manifests.filter(({ mediaType }) => !isIndexType(mediaType));
  await mapConcurrently(images, maxConcurrentManifests, write);
  for (const index of manifests.filter(({ mediaType }) => isIndexType(mediaType))) {
    await write(index);
  }
}

/** By default, distribution rejects a manifest whose layers have URLs, and answers as if it lacked the layers. */
function explainRefusal({ blobs }: ImageGraph, { isRepair }: ImageCopy): string | undefined {
  if (blobs.some(({ isForeign }) => isForeign)) {
    return 'it has layers that may not be redistributed (Windows), and the backup registry does not accept them';
  }
  // A repair has just written every layer.
  return isRepair && blobs.some(({ hasUrls }) => hasUrls === true)
    ? 'it has layers with URLs of their own (urls), which the backup registry does not accept'
    : undefined;
}

async function copyBlobs({ blobs, totalBytes }: ImageGraph, copy: ImageCopy): Promise<CopiedImage> {
  // The first failure ends the other uploads.
  const failed = new AbortController();
  const signal = AbortSignal.any([copy.signal, failed.signal]);
  let doneBytes = 0;
  let movedBytes = 0;
  let skippedLayers = 0;
  const report = (bytes: number, moved: number): void => {
    doneBytes += bytes;
    movedBytes += moved;
    copy.onProgress(doneBytes, totalBytes, movedBytes);
  };
  report(0, 0);

  async function copyOne(blob: Layer): Promise<number> {
    signal.throwIfAborted();
    let counted = 0;
    const onBytes = (bytes: number): void => {
      counted += bytes;
      report(bytes, bytes);
    };
    const moved = await copy.uploadOnce(blob.digest, signal, () =>
      copy.hostLimit.run(() => copyBlob({ ...copy, descriptor: blob, signal, onBytes }), signal),
    );
    report(blob.size - counted, 0);
    return moved;
  }

  /** Another copy is moving them, so that they can be mounted when the others are done. */
  const deferred: Layer[] = [];

  async function copyOrDefer(blob: Layer): Promise<number> {
    if (!copy.sharing.isMoving(blob.digest)) return await copyOrSkip(blob);
    deferred.push(blob);
    return 0;
  }

  async function copyOrSkip(blob: Layer): Promise<number> {
    try {
      return await copyOne(blob);
    } catch (error) {
      // Nodes fetch a foreign layer from its own URL.
      if (blob.isForeign && isFailureOf('source', error, ['NOT_FOUND'])) skippedLayers += 1;
      else failed.abort(error);
      return 0;
    }
  }

  const { small = [], large = [] } = Object.groupBy(blobs, ({ size }) =>
    size < smallBytes ? 'small' : 'large',
  );
  const lanes = await Promise.all([
    mapConcurrently(large, maxConcurrentBlobs.large, copyOrDefer),
    mapConcurrently(small, maxConcurrentBlobs.small, copyOrDefer),
  ]);
  const late = await mapConcurrently(deferred, maxConcurrentBlobs.large, copyOrSkip);
  copy.signal.throwIfAborted();
  failed.signal.throwIfAborted();
  return { bytes: [...lanes, late].flat().reduce((sum, bytes) => sum + bytes, 0), skippedLayers };
}

/** The target rejects a manifest because it lacks a part of it. */
function lacksParts(error: unknown): boolean {
  const cause = error instanceof CloneError ? error.cause : undefined;
  return cause instanceof RegistryError && cause.code === 'MANIFEST_BLOB_UNKNOWN';
}
