import { digestOf } from '../../../image/digest.ts';
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
import { RegistryError } from '../errors/index.ts';
import { isComplete } from './integrity.ts';

/** All of an image that the target lacks, children before parents. */
export interface ImageGraph {
  /** The last one is the root. */
  readonly manifests: readonly ServedManifest[];
  /** Each digest once, the largest first. */
  readonly blobs: readonly Layer[];
  /** Bytes of all blobs, whether the target has them or not. */
  readonly totalBytes: number;
}

const maxDepth = 4;
/** About children, each with some about its layers. */
const parallelQuestions = 4;
/** Those that the target holds count, too: somebody has to ask for each. */
const maxManifests = 1_000;
const maxBlobs = 10_000;
/** Of all manifests together: they are held until the blobs are there, which may take a hostile registry hours, for each of MAX_CLONES. */
const maxTotalManifestBytes = 16 * 1024 * 1024;

/** The two ends between which an image is read. */
export interface GraphEnds {
  readonly source: RepositoryClient;
  readonly target: RepositoryClient;
  /** The target may have manifests without what is below them. */
  readonly isMending: boolean;
  readonly signal: AbortSignal;
}

/** Reads an image from its root down; subtrees that the target holds are left out. Throws `RegistryError` `UNSUPPORTED`. */
export async function readGraph(
  root: ServedManifest,
  { source, target, isMending, signal }: GraphEnds,
): Promise<ImageGraph> {
  const manifests = new Map<string, ServedManifest>();
  const blobs = new Map<string, Layer>();
  const seen = new Set<string>();
  let manifestBytes = 0;

  async function visit(node: ServedManifest, depth: number): Promise<void> {
    if (depth > maxDepth) throw unsupported(`its indexes are nested more than ${maxDepth} deep`);
    manifestBytes += node.bytes.length;
    if (manifestBytes > maxTotalManifestBytes) throw unsupported('its manifests are too large');
    const manifest = parseManifest(node.bytes, node.mediaType);
    if (manifest.kind === 'image') {
      addBlob({ ...manifest.config, isForeign: false });
      for (const layer of manifest.layers) addBlob(layer);
    } else {
      const held = await findHeld(manifest.manifests);
      for (const child of manifest.manifests) {
        if (held.has(child.digest)) count(child.digest);
        else await visitChild(child, depth + 1);
      }
    }
    manifests.set(node.digest, node);
  }

  async function visitChild(child: Descriptor, depth: number): Promise<void> {
    const { digest, mediaType, size } = child;
    if (seen.has(digest)) return;
    count(digest);
    if (mediaType !== '' && !isManifestType(mediaType)) {
      throw unsupported(`its part ${digest} is no image, but ${quote(mediaType)}`);
    }
    const served = await source.getManifest(digest, signal);
    if (served === undefined) {
      throw unsupported(`it is not whole: its registry does not have its part ${digest}`);
    }
    if (served.bytes.length !== size) {
      throw unsupported(`its part ${digest} is not as long as the index says`);
    }
    await visit(served, depth);
  }

  function count(digest: string): void {
    seen.add(digest);
    if (seen.size >= maxManifests) throw unsupported(`it has more than ${maxManifests} manifests`);
  }

  /** Those that need not be brought. */
  async function findHeld(children: readonly Descriptor[]): Promise<ReadonlySet<string>> {
    if (isMending) return new Set();
    const digests = [...new Set(children.map(({ digest }) => digest))];
    const limit = createSemaphore(parallelQuestions);
    const held = await Promise.all(digests.map((digest) => limit.run(() => isHeldWhole(digest))));
    return new Set(digests.filter((_, index) => held[index] === true));
  }

  /** A registry that has lost layers has the manifest still, and whoever does not say is written to. */
  async function isHeldWhole(digest: string): Promise<boolean> {
    if (!(await target.hasManifest(digest, signal))) return false;
    try {
      return await isComplete(target, digest, signal);
    } catch {
      signal.throwIfAborted();
      return false;
    }
  }

  function addBlob(layer: Layer): void {
    const { digest, size, isForeign } = layer;
    const known = blobs.get(digest);
    if (known !== undefined && known.size !== size) {
      throw unsupported(`it says of ${digest} that it has two different sizes`);
    }
    if (size === 0 && digest !== digestOf(new Uint8Array(), digest)) {
      throw unsupported(`it says of ${digest} that it is empty, which it is not`);
    }
    blobs.set(digest, { ...layer, isForeign: isForeign && (known?.isForeign ?? true) });
    if (blobs.size > maxBlobs) throw unsupported(`it has more than ${maxBlobs} layers`);
  }

  await visit(root, 0);
  const sorted = [...blobs.values()].toSorted((a, b) => b.size - a.size);
  return {
    manifests: [...manifests.values()],
    blobs: sorted,
    totalBytes: sorted.reduce((sum, { size }) => sum + size, 0),
  };
}

function unsupported(message: string): RegistryError {
  return new RegistryError('UNSUPPORTED', message);
}
