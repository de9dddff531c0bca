import { CloneError } from '../../errors.ts';
import {
  canonicalRepository,
  formatReference,
  type Reference,
  type Repository,
} from '../../image/reference.ts';
import type {
  CopiedImage,
  CopyProgress,
  CopyRequest,
  ImageCloner,
  RegistryAccess,
  ResolvedImage,
} from '../../ports/index.ts';
import { createBackoff } from '../../util/backoff.ts';
import {
  assertNotSchema1,
  type ClientPoolOptions,
  createClientPool,
  isIndexType,
  type RepositoryClient,
  withSideErrors,
} from './client/index.ts';
import {
  copyImage,
  copyReferrers,
  createUploadOnce,
  type ImageCopy,
  isComplete,
  writeMarkers,
  writeTag,
} from './copy/index.ts';
import { RegistryError, toCloneError } from './errors/index.ts';

export interface RegistryClonerOptions extends ClientPoolOptions {
  /** @default no limit */
  readonly maxImageBytes?: number;
}

/** A review's budget bounds a lookup, not a copy; the caller of `writeTags` retries with tags that it chose anew. */
const retryPolicy = {
  lookup: { maxAttempts: 2, maxRetryAfterMs: 500 },
  copy: { maxAttempts: 5, maxRetryAfterMs: 60_000 },
  tag: { maxAttempts: 1, maxRetryAfterMs: 60_000 },
};

/**
 * Copies from registry to registry: every platform, byte for byte, streamed. It uses no disk and no daemon.
 */
export function createRegistryCloner(options: RegistryClonerOptions): ImageCloner {
  const { maxImageBytes = Number.MAX_SAFE_INTEGER, random = Math.random } = options;
  const openRepository = createClientPool(options);
  const backoff = createBackoff({ sleep: options.sleep, random });
  const uploadOnce = createUploadOnce();

  async function resolve(
    image: Reference,
    access: RegistryAccess,
    signal: AbortSignal,
  ): Promise<ResolvedImage | undefined> {
    const { side } = access;
    try {
      const client = await openRepository(image, access, retryPolicy.lookup, signal);
      const found = await client.resolveManifest(image.digest ?? image.tag ?? 'latest', signal);
      if (found === undefined) return undefined;
      // Fails here, so that no review waits for a copy that cannot be made.
      assertNotSchema1(found.mediaType);
      return { digest: found.digest, isIndex: isIndexType(found.mediaType) };
    } catch (error) {
      signal.throwIfAborted();
      // Artifactory answers 403 for what it does not have; a copy meets a true refusal again.
      if (side === 'backup' && error instanceof RegistryError && error.status === 403) {
        return undefined;
      }
      throw toCloneError(error, { side, image });
    }
  }

  async function copy(
    request: CopyRequest,
    signal: AbortSignal,
    onProgress: (progress: CopyProgress) => void,
  ): Promise<CopiedImage> {
    const { source, target, sourceAccess, targetAccess, firstTag, isRepair = false } = request;
    const name = formatReference(source);
    const toSourceError = (error: unknown): unknown =>
      toCloneError(error, { side: sourceAccess.side, image: source });
    const from = await open(source, sourceAccess, signal);
    const to = await open({ ...target, tag: firstTag }, targetAccess, signal);
    const root = await from.getManifest(source.digest, signal);
    if (root === undefined) {
      const code = sourceAccess.side === 'source' ? 'SOURCE_NOT_FOUND' : 'BACKUP_NOT_FOUND';
      throw new CloneError(code, `${name} does not exist on ${source.domain}`);
    }
    const imageCopy: ImageCopy = {
      source: from,
      target: to,
      uploadOnce: (digest, waiting, upload) =>
        uploadOnce(`${canonicalRepository(target)}@${digest}`, waiting, upload),
      mountFrom: source.domain === target.domain ? source.path : undefined,
      maxImageBytes,
      isMending: isRepair,
      toSourceError,
      backoff,
      signal,
      onProgress: (doneBytes, totalBytes, movedBytes) =>
        onProgress({ phase: 'copy', doneBytes, totalBytes, movedBytes }),
    };
    const { bytes, skippedLayers } = await orSourceError(
      () => copyImage(root, imageCopy),
      toSourceError,
    );
    await writeTag(to, firstTag, root, signal);
    const foreign = `${name}: ${skippedLayers} layers are not in the backup: their licence forbids redistribution`;
    return {
      digest: root.digest,
      bytes,
      warnings: skippedLayers > 0 ? [foreign] : [],
      async writeTags(tags, within) {
        const client = await open(
          { ...target, tag: firstTag },
          targetAccess,
          within,
          retryPolicy.tag,
        );
        for (const tag of tags) await writeTag(client, tag, root, within);
      },
      copyReferrers: (within) => copyReferrers(root, { ...imageCopy, signal: within }, name),
      release: () => Promise.resolve(),
    };
  }

  /** A client whose failures are `CloneError`s of its side. */
  async function open(
    image: Reference & Repository,
    access: RegistryAccess,
    signal: AbortSignal,
    policy = retryPolicy.copy,
  ): Promise<RepositoryClient> {
    const attempt = { side: access.side, image };
    try {
      const client = await openRepository(image, access, policy, signal);
      return withSideErrors(client, attempt, signal);
    } catch (error) {
      throw toCloneError(error, attempt);
    }
  }

  async function isWholeThere(
    { digest, ...repository }: Repository & { readonly digest: string },
    access: RegistryAccess,
    signal: AbortSignal,
  ): Promise<boolean> {
    const image = { ...repository, digest };
    const client = await open(image, access, signal);
    try {
      return await isComplete(client, digest, signal);
    } catch (error) {
      // The manifest may be malformed.
      throw toCloneError(error, { side: access.side, image });
    }
  }

  async function mark(
    target: Repository,
    tags: readonly string[],
    access: RegistryAccess,
    signal: AbortSignal,
  ): Promise<void> {
    const { domain, path } = target;
    await writeMarkers(await open({ domain, path }, access, signal), tags, signal);
  }

  async function listTags(
    target: Repository,
    access: RegistryAccess,
    signal: AbortSignal,
  ): Promise<readonly string[]> {
    const { domain, path } = target;
    return await (await open({ domain, path }, access, signal)).listTags(signal);
  }

  return { keepsDigest: true, resolve, copy, isComplete: isWholeThere, mark, listTags };
}

/** A malformed image is the source's failure. */
async function orSourceError<Result>(
  work: () => Promise<Result>,
  toSourceError: (error: unknown) => unknown,
): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw toSourceError(error);
  }
}
