import { isFailureOf } from '../../../errors.ts';
import { digestOf } from '../../../image/digest.ts';
import { maxDepth, readTree, type TreeNode } from '../../../image/image-tree.ts';
import { createSemaphore } from '../../../util/semaphore.ts';
import {
  type Descriptor,
  isManifestType,
  type Layer,
  parseManifest,
  quote,
  type RepositoryClient,
  type ServedManifest,
} from '../client/index.ts';
import { unsupported } from '../errors/index.ts';
import { isComplete } from './is-complete.ts';

/** The parts of an image that the target lacks. */
export interface ImageGraph {
  /** Children before parents; the root is last. */
  readonly manifests: readonly ServedManifest[];
  /** Each digest once, the largest first. */
  readonly blobs: readonly Layer[];
  /** Including blobs that the target has. */
  readonly totalBytes: number;
}

/** Each waits for a round trip. */
const maxConcurrentRequests = 16;
/** Each reads manifests of any size from the target. */
const maxConcurrentChecks = 4;
const maxBlobs = 10_000;
/** Of all manifests together: a copy holds them until its blobs are written, which a slow registry can delay for hours. */
const maxTotalManifestBytes = 16 * 1024 * 1024;

/** The two repositories between which an image is copied. */
export interface ImageGraphOptions {
  readonly source: RepositoryClient;
  readonly target: RepositoryClient;
  /** The target may have manifests without their parts. */
  readonly isRepair: boolean;
  readonly signal: AbortSignal;
}

/** Reads an image from its root down; leaves out subtrees that the target has. Throws `RegistryError` `UNSUPPORTED`. */
export async function readGraph(
  root: ServedManifest,
  { source, target, isRepair, signal }: ImageGraphOptions,
): Promise<ImageGraph> {
  const listed = new Map<string, Descriptor>();
  const blobs = new Map<string, Layer>();
  let manifestBytes = root.bytes.length;
  const checks = createSemaphore(maxConcurrentChecks);

  async function read(
    digest: string,
    depth: number,
  ): Promise<TreeNode & { readonly served?: ServedManifest }> {
    if (depth > maxDepth) throw unsupported(`its indexes are nested more than ${maxDepth} deep`);
    const child = listed.get(digest);
    if (child !== undefined && !isRepair && (await isHeldComplete(digest))) return { children: [] };
    const served = child === undefined ? root : await readChild(child);
    const manifest = parseManifest(served.bytes, served.mediaType);
    if (manifest.kind === 'image') {
      addBlob({ ...manifest.config, isForeign: false });
      for (const layer of manifest.layers) addBlob(layer);
      return { served, children: [] };
    }
    for (const child of manifest.manifests) {
      if (!listed.has(child.digest)) listed.set(child.digest, child);
    }
    return { served, children: [...new Set(manifest.manifests.map(({ digest }) => digest))] };
  }

  async function readChild({ digest, mediaType, size }: Descriptor): Promise<ServedManifest> {
    if (mediaType !== '' && !isManifestType(mediaType)) {
      throw unsupported(
        `its part ${digest} has the media type ${quote(mediaType)}, which is not that of an image`,
      );
    }
    // Counted before it is read, so that many at once fit into the memory too.
    manifestBytes += size;
    if (manifestBytes > maxTotalManifestBytes) {
      throw unsupported('its manifests are larger than 16 MiB in total');
    }
    const wrongLength = `the length of its part ${digest} differs from the index`;
    const served = await source.getChild({ digest, size }, signal).catch((error: unknown) => {
      throw isFailureOf('source', error, ['UNSUPPORTED']) ? unsupported(wrongLength, error) : error;
    });
    if (served === undefined) {
      throw unsupported(`it is incomplete: its registry does not have its part ${digest}`);
    }
    if (served.bytes.length !== size) throw unsupported(wrongLength);
    return served;
  }

  /** A registry that has lost layers still has the manifest. Without a clear answer, the image is copied. */
  async function isHeldComplete(digest: string): Promise<boolean> {
    if (!(await target.hasManifest(digest, signal))) return false;
    try {
      return await checks.run(() => isComplete(target, digest, signal), signal);
    } catch {
      signal.throwIfAborted();
      return false;
    }
  }

  function addBlob(layer: Layer): void {
    const { digest, size, isForeign } = layer;
    const known = blobs.get(digest);
    if (known !== undefined && known.size !== size) {
      throw unsupported(`it lists ${digest} with two different sizes`);
    }
    if (size === 0 && digest !== digestOf(new Uint8Array(), digest)) {
      throw unsupported(`it lists ${digest} as empty, and the digest is that of other content`);
    }
    blobs.set(digest, { ...layer, isForeign: isForeign && (known?.isForeign ?? true) });
    if (blobs.size > maxBlobs) throw unsupported(`it has more than ${maxBlobs} layers`);
  }

  const { nodes } = await readTree(root.digest, {
    read,
    maxConcurrent: maxConcurrentRequests,
    tooLarge: unsupported,
  });
  const sorted = [...blobs.values()].toSorted((a, b) => b.size - a.size);
  return {
    manifests: [...nodes.values()].flatMap(({ served }) => served ?? []),
    blobs: sorted,
    totalBytes: sorted.reduce((sum, { size }) => sum + size, 0),
  };
}
