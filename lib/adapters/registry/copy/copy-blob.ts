import type { Backoff } from '../../../util/backoff.ts';
import type { Descriptor, RepositoryClient, UploadSession } from '../client/index.ts';
import { isTransient } from '../errors/index.ts';
import { readBlob } from './read-blob.ts';

export interface BlobCopy {
  readonly source: RepositoryClient;
  readonly target: RepositoryClient;
  readonly descriptor: Descriptor;
  /** Path of a repository in the target's registry that holds the blob. */
  readonly mountFrom: string | undefined;
  /** Makes a failure of the source's stream one that says so. */
  readonly toSourceError: (error: unknown) => unknown;
  readonly backoff: Backoff;
  readonly signal: AbortSignal;
  /** Bytes that were moved; negative when an attempt is taken back. */
  readonly onBytes: (bytes: number) => void;
}

const maxAttempts = 4;

/** Makes the target hold one blob; resolves with the bytes that had to be moved for it. */
export async function copyBlob(copy: BlobCopy): Promise<number> {
  const { target, descriptor, backoff, signal } = copy;
  if (await target.hasBlob(descriptor.digest, signal)) return 0;
  let session = await mount(copy);
  if (session === 'mounted') return 0;
  let isSourceAtFault = false;
  const toSourceError = (error: unknown): unknown => {
    isSourceAtFault = true;
    return copy.toSourceError(error);
  };
  for (let attempt = 1; ; attempt += 1) {
    try {
      session ??= await target.startUpload(signal);
      await upload({ ...copy, toSourceError }, session);
      return descriptor.size;
    } catch (error) {
      signal.throwIfAborted();
      // The source's connections were given their chances while it was read.
      if (isSourceAtFault || !isTransient(error) || attempt >= maxAttempts) throw error;
      session = undefined;
      await backoff(attempt, signal);
    }
  }
}

/** Without a session where the registry does not mount and says so with an error, as some do. */
async function mount({
  target,
  descriptor: { digest },
  mountFrom: path,
  signal,
}: BlobCopy): Promise<UploadSession | 'mounted' | undefined> {
  if (path === undefined) return undefined;
  try {
    const mounted = await target.mountBlob({ path, digest }, signal);
    // Only some registries headOrGet at a manifest's layers when it is written.
    if (mounted !== 'mounted' || (await target.hasBlob(digest, signal))) return mounted;
    return undefined;
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

async function upload(
  { source, target, descriptor, toSourceError, backoff, signal, onBytes }: BlobCopy,
  session: UploadSession,
): Promise<void> {
  let moved = 0;
  const body = (): AsyncIterable<Uint8Array> =>
    readBlob({
      descriptor,
      open: (offset) => source.openBlob(descriptor, offset, signal),
      onBytes: (bytes) => {
        moved += bytes;
        onBytes(bytes);
      },
      pause: (attempt) => backoff(attempt, signal),
      toError: toSourceError,
    });
  try {
    await target.finishUpload(session, descriptor, body, signal);
  } catch (error) {
    onBytes(-moved);
    await target.cancelUpload(session);
    throw error;
  }
}
