import { CloneError, registryCode } from '../../../errors.ts';
import { originOf, type Platforms } from '../../../image/platforms.ts';
import { formatReference, type Reference } from '../../../image/reference.ts';
import type {
  CopyPlan,
  CopyRequest,
  PlatformSelection,
  RegistryAccess,
} from '../../../ports/index.ts';
import { createSemaphore } from '../../../util/semaphore.ts';
import type { RepositoryClient, ServedManifest } from '../client/index.ts';
import { toCloneError } from '../errors/index.ts';
import { readSelected } from './read-selected.ts';

/** Dry runs plan outside of the copy queue, and each plan may read 16 MiB. */
const maxConcurrentPlans = 4;

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
  const plans = createSemaphore(maxConcurrentPlans);

  async function plan(
    source: CopyRequest['source'],
    access: RegistryAccess,
    signal: AbortSignal,
  ): Promise<CopyPlan> {
    const from = await open(source, access, signal);
    try {
      const root = await readRoot(from, source, access, signal);
      const manifests = await readSelected(root, platforms, from, signal);
      return { digest: manifests[0].digest, manifests };
    } catch (error) {
      throw toCloneError(error, { side: access.side, image: source });
    }
  }

  return {
    originOf: (sourceDigest) => originOf(sourceDigest, platforms),
    plan: (source, access, signal) => plans.run(() => plan(source, access, signal), signal),
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
