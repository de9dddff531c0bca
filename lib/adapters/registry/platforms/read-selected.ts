import { maxDepth, readTree, type TreeNode } from '../../../image/image-tree.ts';
import type { Platforms } from '../../../image/platforms.ts';
import {
  isIndexType,
  parseManifest,
  quote,
  type RepositoryClient,
  type ServedManifest,
} from '../client/index.ts';
import { unsupported } from '../errors/index.ts';
import { nestedIndexes, type Selection, selectPlatforms } from './select-platforms.ts';

interface ServedNode extends TreeNode {
  readonly served: ServedManifest;
}

/** Of the root and its nested indexes together. */
const maxTotalBytes = 16 * 1024 * 1024;
const maxShownPlatforms = 12;

/**
 * Selects the listed platforms of an image, nested indexes included. Returns the manifests that it has read or made, the root
 * first. Throws `RegistryError` `UNSUPPORTED` if the image has none of the platforms.
 */
export async function readSelected(
  root: ServedManifest,
  platforms: Platforms,
  source: Pick<RepositoryClient, 'getManifest'>,
  signal: AbortSignal,
): Promise<readonly [ServedManifest, ...ServedManifest[]]> {
  let totalBytes = 0;

  async function read(digest: string, depth: number): Promise<ServedNode | undefined> {
    if (depth > maxDepth) throw unsupported(`its indexes are nested more than ${maxDepth} deep`);
    const served = depth === 0 ? root : await source.getManifest(digest, signal);
    if (served === undefined) return undefined;
    totalBytes += served.bytes.length;
    if (totalBytes > maxTotalBytes)
      throw unsupported('its indexes are larger than 16 MiB in total');
    parseManifest(served.bytes, served.mediaType);
    return { served, children: isIndexType(served.mediaType) ? nestedIndexes(served) : [] };
  }

  const { nodes, missing } = await readTree(root.digest, {
    read,
    maxConcurrent: 1,
    tooLarge: unsupported,
  });
  const [part] = missing;
  if (part !== undefined) {
    throw unsupported(`it is incomplete: its registry does not have its part ${part}`);
  }
  const selections = new Map<string, Selection>();
  // Children come before their parents.
  for (const [digest, { served }] of nodes) {
    const selection = isIndexType(served.mediaType)
      ? selectPlatforms(served, platforms, selections)
      : { manifest: served, platforms: [] };
    selections.set(digest, selection);
  }
  const whole = selections.get(root.digest);
  if (whole?.manifest === undefined) throw lacksPlatforms(whole?.platforms ?? [], platforms);
  const others = [...selections.values()].flatMap(({ manifest }) => manifest ?? []);
  return [whole.manifest, ...others.filter((manifest) => manifest !== whole.manifest)];
}

function lacksPlatforms(named: readonly string[], platforms: Platforms): Error {
  const shown = named.slice(0, maxShownPlatforms).map(toShown);
  const more = named.length > shown.length ? [`${named.length - shown.length} more`] : [];
  return unsupported(
    `it has ${[...shown, ...more].join(', ')} and none of PLATFORMS (${platforms.join(', ')})`,
  );
}

/** An index can name anything. */
function toShown(platform: string): string {
  return /^[a-z0-9._/-]{1,50}$/.test(platform) ? platform : quote(platform);
}
