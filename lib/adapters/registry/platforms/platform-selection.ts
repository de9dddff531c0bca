import { CloneError, registryCode } from '../../../errors.ts';
import { originOf, type Platforms } from '../../../image/platforms.ts';
import { formatReference, type Reference } from '../../../image/reference.ts';
import type { CopyRequest, PlatformSelection, RegistryAccess } from '../../../ports/index.ts';
import type { RepositoryClient, ServedManifest } from '../client/index.ts';
import { toCloneError } from '../errors/index.ts';
import { planCopy } from './plan-copy.ts';

/** Opens a client whose failures are `CloneError`s of its side. */
type Open = (
  image: Reference,
  access: RegistryAccess,
  signal: AbortSignal,
) => Promise<RepositoryClient>;

/** Plans copies that have only the listed platforms; `undefined` if the list is empty, which means all. */
export function createPlatformSelection(
  platforms: Platforms,
  open: Open,
): PlatformSelection | undefined {
  if (platforms.length === 0) return undefined;
  return {
    originOf: (sourceDigest) => originOf(sourceDigest, platforms),
    async plan(source, access, signal) {
      const from = await open(source, access, signal);
      try {
        const root = await readRoot(from, source, access, signal);
        const manifests = await planCopy(root, platforms, from, signal);
        return { digest: manifests[0].digest, manifests };
      } catch (error) {
        throw toCloneError(error, { side: access.side, image: source });
      }
    },
  };
}

/** Reads the manifest of a source. Some registries serve a manifest by its tag only. */
export async function readRoot(
  from: RepositoryClient,
  source: CopyRequest['source'],
  { side }: RegistryAccess,
  signal: AbortSignal,
): Promise<ServedManifest> {
  const { digest, tag, domain } = source;
  const root = await from.getManifest(digest, signal);
  if (root !== undefined) return root;
  const tagged = tag === undefined ? undefined : await from.getManifest(tag, signal);
  if (tagged?.digest === digest) return tagged;
  const name = formatReference(source);
  throw new CloneError(registryCode(side, 'NOT_FOUND'), `${name} does not exist on ${domain}`);
}
