import { hashText } from './digest.ts';

/**
 * The platforms to copy of an index: `os/architecture` for every variant, or `os/architecture/variant`. Canonical: sorted, and
 * without what another entry includes. Empty: all platforms.
 */
export type Platforms = readonly string[];

/** An entry of an index. */
export interface IndexEntry {
  readonly digest: string;
  /** As in `Platforms`; absent if the index names none. */
  readonly platform?: string;
  /** The digest of the manifest whose attestations these are. */
  readonly attestationOf?: string;
}

const platformPattern = /^[a-z0-9]+\/[a-z0-9]+(\/[a-z0-9]+)?$/;
/** The variants that containerd reads in a platform without one. */
const defaultVariants = new Map([
  ['amd64', 'v1'],
  ['arm', 'v7'],
  ['arm64', 'v8'],
]);

/** Parses `all` or a list of platforms; `undefined` if it is neither. */
export function parsePlatforms(items: readonly string[]): Platforms | undefined {
  if (items.length === 1 && items[0] === 'all') return [];
  if (items.length === 0 || !items.every((item) => platformPattern.test(item))) return undefined;
  const isIncluded = (item: string): boolean => {
    const [os, architecture, variant] = item.split('/');
    return variant !== undefined && items.includes(`${os}/${architecture}`);
  };
  return [...new Set(items)].filter((item) => !isIncluded(item)).toSorted();
}

/** Whether the platform of an image is one of the list. */
function isListed(platform: string, platforms: Platforms): boolean {
  const [os, architecture = '', variant = defaultVariants.get(architecture)] = platform.split('/');
  const general = `${os}/${architecture}`;
  return platforms.includes(general) || platforms.includes(`${general}/${variant}`);
}

/**
 * Selects the entries of the listed platforms, with their attestations. An entry without a platform stays, because the node
 * that pulls it reads the platform in the image's configuration.
 */
export function selectEntries<Entry extends IndexEntry>(
  entries: readonly Entry[],
  platforms: Platforms,
): readonly Entry[] {
  const isSelected = ({ platform, attestationOf }: Entry): boolean =>
    attestationOf === undefined && (platform === undefined || isListed(platform, platforms));
  const selected = new Set(entries.filter(isSelected).map(({ digest }) => digest));
  return entries.filter(
    (entry) =>
      isSelected(entry) || (entry.attestationOf !== undefined && selected.has(entry.attestationOf)),
  );
}

/** Identifies what is copied of a source, for the provenance tag of the copy: another list makes another copy of the same source. */
export function originOf(sourceDigest: string, platforms: Platforms): string {
  return hashText(`${sourceDigest} ${platforms.join(',')}`, 64);
}
