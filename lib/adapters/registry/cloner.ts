import type { Platforms } from '../../image/platforms.ts';
import { canonicalRepository, formatReference, type Reference } from '../../image/reference.ts';
import { referrersTag } from '../../image/tags.ts';
import type {
  CopyRequest,
  ImageCloner,
  ReferrersRequest,
  RegistryAccess,
} from '../../ports/index.ts';
import { createBackoff } from '../../util/backoff.ts';
import { createBoundedMap } from '../../util/bounded-map.ts';
import { monotonicClock } from '../../util/clock.ts';
import { createSemaphore, type Semaphore } from '../../util/semaphore.ts';
import { createTurnBudget } from '../../util/turn-budget.ts';
import {
  assertNotSchema1,
  type ClientPoolOptions,
  createClientPool,
  isIndexType,
  openWithSideErrors,
  type RepositoryClient,
  type RetryPolicy,
} from './client/index.ts';
import {
  copyImage,
  copyReferrers,
  createBlobParts,
  createSharedLayers,
  createUploadOnce,
  findReferrers,
  type ImageCopy,
  isComplete,
  writeMarkers,
  writeTag,
} from './copy/index.ts';
import { toCloneError } from './errors/index.ts';
import { createPlatformSelection, readRoot } from './platforms/index.ts';

export interface RegistryClonerOptions extends ClientPoolOptions {
  /** @default no limit */
  readonly maxImageBytes?: number | undefined;
  /** The platforms to copy of an index. @default all */
  readonly platforms?: Platforms | undefined;
}

/** It has the optional abilities too. */
export type RegistryCloner = ImageCloner &
  Required<Pick<ImageCloner, 'findReferrers' | 'isComplete' | 'mark' | 'listTags'>>;

/** A review's budget bounds a lookup, not a copy; the caller of `writeTags` retries with newly chosen tags. */
const retryPolicy = {
  lookup: { maxAttempts: 2, maxRetryAfterMs: 500 },
  copy: { maxAttempts: 5, maxRetryAfterMs: 60_000 },
  tag: { maxAttempts: 1, maxRetryAfterMs: 60_000 },
  referrers: { maxAttempts: 2, maxRetryAfterMs: 500, isOptional: true },
};

/** Of all copies together. */
const maxBlobsPerHost = 32;
const maxHosts = 1_000;
/** Of all copies, between two turns of the event loop: one read of a socket. A stream would move megabytes, and reviews wait. */
const maxBytesPerTurn = 64 * 1024;

/**
 * Copies from registry to registry: byte for byte, streamed; every platform, unless `platforms` lists some. It uses no disk and
 * no daemon.
 */
export function createRegistryCloner(options: RegistryClonerOptions): RegistryCloner {
  const { maxImageBytes = Number.MAX_SAFE_INTEGER, random = Math.random } = options;
  const { now = monotonicClock.now, platforms = [] } = options;
  const openRepository = createClientPool(options);
  const backoff = createBackoff({ sleep: options.sleep, random });
  const uploadOnce = createUploadOnce();
  const sharedLayers = createSharedLayers({ now });
  const parts = createBlobParts({ now });
  const turns = createTurnBudget({ max: maxBytesPerTurn });
  const hostLimits = createBoundedMap<string, Semaphore>(maxHosts);

  function hostLimitOf(domain: string): Semaphore {
    const limit = hostLimits.get(domain) ?? createSemaphore(maxBlobsPerHost);
    hostLimits.set(domain, limit);
    return limit;
  }

  /** A client whose failures are `CloneError`s of its side. */
  async function open(
    image: Reference,
    access: RegistryAccess,
    signal: AbortSignal,
    policy = retryPolicy.copy,
  ): Promise<RepositoryClient> {
    return await openWithSideErrors(openRepository, image, access, policy, signal);
  }

  async function openBoth(
    { source, sourceAccess, target, targetAccess }: ReferrersRequest,
    tag: string,
    policy: RetryPolicy,
    signal: AbortSignal,
  ): Promise<{ readonly from: RepositoryClient; readonly to: RepositoryClient }> {
    return {
      from: await open(source, sourceAccess, signal, policy),
      to: await open({ ...target, tag }, targetAccess, signal),
    };
  }

  function toImageCopy(
    {
      source,
      sourceAccess: { side },
      target,
      mayShareLayers = false,
    }: ReferrersRequest & Pick<CopyRequest, 'mayShareLayers'>,
    from: RepositoryClient,
    to: RepositoryClient,
    signal: AbortSignal,
  ): ImageCopy {
    return {
      source: from,
      target: to,
      uploadOnce: (digest, waiting, upload) =>
        uploadOnce(`${canonicalRepository(target)}@${digest}`, waiting, upload),
      hostLimit: hostLimitOf(source.domain),
      mountFrom: source.domain === target.domain ? source.path : undefined,
      sharing: sharedLayers.of({ source: source.domain, target, mayShare: mayShareLayers }),
      parts,
      turns,
      sourceHost: source.domain,
      maxImageBytes,
      isRepair: false,
      toSourceError: (error) => toCloneError(error, { side, image: source }),
      backoff,
      signal,
      onProgress: () => undefined,
    };
  }

  return {
    selection: createPlatformSelection(platforms, open),

    async resolve(image, access, signal, { isFinal = false } = {}) {
      const { side } = access;
      try {
        const client = await openRepository(image, access, retryPolicy.lookup, signal);
        const isCertain = isFinal || side === 'source';
        const resolve = isCertain ? client.resolveConfirmed : client.resolveManifest;
        const found = await resolve(image.digest ?? image.tag ?? 'latest', signal);
        if (found === undefined) return undefined;
        // Fails here, so that no review waits for a copy that cannot be made.
        assertNotSchema1(found.mediaType);
        return { digest: found.digest, isIndex: isIndexType(found.mediaType) };
      } catch (error) {
        signal.throwIfAborted();
        throw toCloneError(error, { side, image });
      }
    },

    async copy(request, signal, onProgress) {
      const { source, target, sourceAccess, targetAccess, firstTag, isRepair = false } = request;
      const { digest = source.digest, manifests = [] } = request.plan ?? {};
      const name = formatReference(source);
      const { from, to } = await openBoth(request, firstTag, retryPolicy.copy, signal);
      const known = new Map(manifests.map((manifest) => [manifest.digest, manifest]));
      const root = known.get(digest) ?? (await readRoot(from, source, sourceAccess, signal));
      const getChild: RepositoryClient['getChild'] = async (child, within) =>
        known.get(child.digest) ?? (await from.getChild(child, within));
      const imageCopy = {
        ...toImageCopy(request, { ...from, getChild }, to, signal),
        isRepair,
        onProgress: (doneBytes: number, totalBytes: number, movedBytes: number) =>
          onProgress({ phase: 'copy', doneBytes, totalBytes, movedBytes }),
      };
      // A malformed image is the source's failure.
      const { bytes, skippedLayers } = await copyImage(root, imageCopy).catch((error: unknown) => {
        throw imageCopy.toSourceError(error);
      });
      await writeTag(to, firstTag, root, signal);
      const foreign = `${name}: ${skippedLayers} layers are not in the backup: their licence forbids redistribution`;
      const partial = `${name}: signatures of the whole image do not apply to its copy, which has only ${platforms.join(', ')}`;
      return {
        digest: root.digest,
        bytes,
        warnings: [
          ...(skippedLayers > 0 ? [foreign] : []),
          ...(root.digest === source.digest ? [] : [partial]),
        ],
        async writeTags(tags, within) {
          for (const tag of tags) {
            const client = await open({ ...target, tag }, targetAccess, within, retryPolicy.tag);
            await writeTag(client, tag, root, within);
          }
        },
        release: () => Promise.resolve(),
      };
    },

    async findReferrers(request, signal) {
      const tag = referrersTag(request.source.digest);
      // Signatures are optional, so reading them gets few attempts.
      const { from, to } = await openBoth(request, tag, retryPolicy.referrers, signal);
      const found = await findReferrers(from, request.source.digest, signal);
      return (within) => copyReferrers(found, toImageCopy(request, from, to, within));
    },

    async isComplete(image, access, signal) {
      const client = await open(image, access, signal);
      try {
        return await isComplete(client, image.digest, signal);
      } catch (error) {
        // The manifest may be malformed.
        throw toCloneError(error, { side: access.side, image });
      }
    },

    async mark({ domain, path }, tags, access, signal) {
      await writeMarkers(await open({ domain, path }, access, signal), tags, signal);
    },

    async listTags({ domain, path }, access, signal) {
      return await (await open({ domain, path }, access, signal)).listTags(signal);
    },
  };
}
