import { CloneError } from '../../errors.ts';
import {
  canonicalRepository,
  formatReference,
  type Reference,
  type Repository,
} from '../../image/reference.ts';
import type {
  CopyProgress,
  CopyRequest,
  CopyResult,
  ImageCloner,
  RegistryAccess,
  ResolvedImage,
} from '../../ports/index.ts';
import { createBackoff } from '../../util/backoff.ts';
import {
  assertNotSchema1,
  type ClientPoolOptions,
  createClientPool,
  headOrGet,
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
import { isTransient, RegistryError, toCloneError } from './errors/index.ts';

export interface RegistryClonerOptions extends Omit<ClientPoolOptions, 'random' | 'now'> {
  /** @default no limit */
  readonly maxImageBytes?: number;
  readonly now?: () => number;
  readonly random?: () => number;
}

/** Questions are asked within a review's budget, copies have time. */
const retryPolicy = {
  question: { maxAttempts: 2, maxRetryAfterMs: 500 },
  copy: { maxAttempts: 5, maxRetryAfterMs: 60_000 },
  tag: { maxAttempts: 1, maxRetryAfterMs: 60_000 },
};

/**
 * Copies from registry to registry: the image as it is, every platform, the same digest, streamed. Nothing touches a disk, and no daemon is needed.
 */
export function createRegistryCloner(options: RegistryClonerOptions): ImageCloner {
  const { maxImageBytes = Number.MAX_SAFE_INTEGER, now = Date.now, random = Math.random } = options;
  const openRepository = createClientPool({ ...options, now, random });
  const backoff = createBackoff({ sleep: options.sleep, random });
  const uploadOnce = createUploadOnce();

  async function resolve(
    image: Reference,
    access: RegistryAccess,
    signal: AbortSignal,
  ): Promise<ResolvedImage | undefined> {
    const { side } = access;
    try {
      const client = await openRepository(image, access, retryPolicy.question, signal);
      const found = await headOrGet(client, image.digest ?? image.tag ?? 'latest', signal);
      if (found === undefined) return undefined;
      // Old formats are refused here, before anybody waits for a copy.
      assertNotSchema1(found.mediaType);
      return { digest: found.digest, isIndex: isIndexType(found.mediaType) };
    } catch (error) {
      signal.throwIfAborted();
      // Artifactory says 403 of what is not there; if it was a refusal, the copy will meet it again.
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
  ): Promise<CopyResult> {
    const { source, target, sourceAccess, targetAccess, firstTag, moreTags } = request;
    const { isMending = false } = request;
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
      once: (digest, waiting, upload) =>
        uploadOnce(`${canonicalRepository(target)}@${digest}`, waiting, upload),
      mountFrom: source.domain === target.domain ? source.path : undefined,
      maxImageBytes,
      isMending,
      toSourceError,
      backoff,
      signal,
      onProgress: (doneBytes, totalBytes, movedBytes) =>
        onProgress({ phase: 'copy', doneBytes, totalBytes, movedBytes }),
    };
    const { bytes, leftOut } = await orSourceError(() => copyImage(root, imageCopy), toSourceError);
    await writeTag(to, firstTag, root, signal);
    await repeat(signal, async () => {
      const once = await open({ ...target, tag: firstTag }, targetAccess, signal, retryPolicy.tag);
      for (const tag of await moreTags(root.digest)) await writeTag(once, tag, root, signal);
    });
    const warnings = [
      ...(leftOut > 0
        ? [`${name}: ${leftOut} layers are not in the backup: their owner forbids it`]
        : []),
      ...(sourceAccess.side === 'source' ? await copyReferrers(root, imageCopy, name) : []),
    ];
    return { digest: root.digest, bytes, ...(warnings.length > 0 && { warnings }) };
  }

  /** Tags that readers headOrGet at: between two attempts somebody else may have moved them on, so it is asked anew which are to be written. */
  async function repeat(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await work();
      } catch (error) {
        signal.throwIfAborted();
        if (!isTransient(error) || attempt >= retryPolicy.copy.maxAttempts) throw error;
        await backoff(attempt, signal);
      }
    }
  }

  /** A client whose failures say which side they are on. */
  async function open(
    image: Reference & Repository,
    access: RegistryAccess,
    signal: AbortSignal,
    howLong = retryPolicy.copy,
  ): Promise<RepositoryClient> {
    const attempt = { side: access.side, image };
    try {
      const client = await openRepository(image, access, howLong, signal);
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
      // What it serves may be no manifest.
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

/** What is wrong with the image itself is the source's fault. */
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
