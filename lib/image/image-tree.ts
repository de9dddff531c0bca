import { createSemaphore, mapConcurrently } from '../util/semaphore.ts';

/** A manifest, as far as the tree goes. */
export interface TreeNode {
  /** Digests of the manifests that an index lists. */
  readonly children: readonly string[];
}

export interface ImageTree<Node extends TreeNode> {
  /** By digest; children before parents. */
  readonly nodes: ReadonlyMap<string, Node>;
  /** Manifests for which `read` found nothing. */
  readonly missing: readonly string[];
}

export interface ReadTreeOptions<Node extends TreeNode> {
  /** The depth of the root is 0. */
  readonly read: (digest: string, depth: number) => Promise<Node | undefined>;
  /** Manifests that are read at once. */
  readonly maxConcurrent: number;
  /** Makes the error for a tree that exceeds a limit. */
  readonly tooLarge: (message: string) => Error;
}

/** A manifest and its own blobs. */
export interface NodeWithBlobs extends TreeNode {
  /** Digests of the blobs that a registry must have. */
  readonly blobs: readonly string[];
}

export interface FindMissingPartsOptions extends ReadTreeOptions<NodeWithBlobs> {
  readonly hasBlob: (digest: string) => Promise<boolean>;
}

/** Indexes deeper than this are not copied. */
export const maxDepth = 4;
const maxManifests = 1_000;

/** Reads an image from its root down, each manifest once. */
export async function readTree<Node extends TreeNode>(
  root: string,
  { read, maxConcurrent, tooLarge }: ReadTreeOptions<Node>,
): Promise<ImageTree<Node>> {
  const seen = new Set<string>();
  const found = new Map<string, Node>();
  const missing: string[] = [];
  const limit = createSemaphore(maxConcurrent);
  const failed = new AbortController();

  async function readNode(digest: string, depth: number): Promise<Node | undefined> {
    failed.signal.throwIfAborted();
    try {
      return await read(digest, depth);
    } catch (error) {
      failed.abort(error);
      throw error;
    }
  }

  async function visit(digest: string, depth: number): Promise<void> {
    if (seen.has(digest)) return;
    seen.add(digest);
    if (seen.size > maxManifests) {
      failed.abort(tooLarge(`it has more than ${maxManifests} manifests`));
    }
    const node = await limit.run(() => readNode(digest, depth));
    if (node === undefined) {
      missing.push(digest);
      return;
    }
    found.set(digest, node);
    await Promise.all(node.children.map((child) => visit(child, depth + 1)));
  }

  await visit(root, 0);
  return { nodes: inOrder(root, found), missing };
}

/** Children before parents, in the order of the indexes. */
function inOrder<Node extends TreeNode>(
  root: string,
  found: ReadonlyMap<string, Node>,
): ReadonlyMap<string, Node> {
  const ordered = new Map<string, Node>();
  const entered = new Set<string>();

  function add(digest: string): void {
    const node = found.get(digest);
    if (node === undefined || entered.has(digest)) return;
    entered.add(digest);
    for (const child of node.children) add(child);
    ordered.set(digest, node);
  }

  add(root);
  return ordered;
}

/** What an image lacks: manifests, or, if it has all of these, blobs. Empty if a node can pull it. */
export async function findMissingParts(
  root: string,
  options: FindMissingPartsOptions,
): Promise<readonly string[]> {
  const { nodes, missing } = await readTree(root, options);
  if (missing.length > 0) return missing;
  const blobs = new Set([...nodes.values()].flatMap((node) => node.blobs));
  const checked = await mapConcurrently([...blobs], options.maxConcurrent, async (digest) => ({
    digest,
    isThere: await options.hasBlob(digest),
  }));
  return checked.filter(({ isThere }) => !isThere).map(({ digest }) => digest);
}
