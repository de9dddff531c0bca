import { findItems } from '../kubectl.ts';
import { nodeObject } from '../objects.ts';
import type { DeploySettings } from '../settings.ts';

interface NodePlatform {
  readonly node: string;
  /** `os/architecture` */
  readonly platform: string;
}

/** Nodes that could not run the copies of images with several platforms. */
export async function findUnlistedNodes({
  platforms,
}: Pick<DeploySettings, 'platforms'>): Promise<readonly string[]> {
  if (platforms.length === 0) return [];
  const nodes = await findItems(nodeObject, 'nodes');
  const found = nodes.map(({ metadata, status: { nodeInfo } }) => ({
    node: metadata.name,
    platform: `${nodeInfo.operatingSystem}/${nodeInfo.architecture}`,
  }));
  return describeUnlisted(found, platforms);
}

/** One sentence for each platform of nodes that the list has in no variant; a node does not report its variant. */
export function describeUnlisted(
  nodes: readonly NodePlatform[],
  platforms: readonly string[],
): readonly string[] {
  const listed = new Set(platforms.map((platform) => platform.split('/', 2).join('/')));
  const unlisted = [...new Set(nodes.map(({ platform }) => platform))].filter(
    (platform) => !listed.has(platform),
  );
  return unlisted.map((platform) => {
    const [first, ...others] = nodes.filter((node) => node.platform === platform);
    const more = others.length === 0 ? '' : ` and ${others.length} more`;
    return `PLATFORMS does not list ${platform}, the platform of the node ${first?.node}${more}: pods there cannot run the copies of images with several platforms; add ${platform}`;
  });
}
