import type { Backoff } from '../../../util/backoff.ts';
import type { Descriptor, RepositoryClient, UploadSession } from '../client/index.ts';
import { isTransient } from '../errors/index.ts';
import { readBlob } from './read-blob.ts';

export interface BlobCopy {
  readonly source: RepositoryClient;
  readonly target: RepositoryClient;
  readonly descriptor: Descriptor;
  /** Path of the source if both are in one registry: the copy then mounts blobs. */
  readonly mountFrom: string | undefined;
  /** Adds the source's side to an error of its stream. */
  readonly toSourceError: (error: unknown) => unknown;
  readonly backoff: Backoff;
  readonly signal: AbortSignal;
  /** Bytes that were sent; negative if an attempt fails. */
  readonly onBytes: (bytes: number) => void;
}

const maxAttempts = 4;

/** Copies one blob unless the target has it; resolves with the bytes that were sent. */
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
      // readBlob has retried errors of the source.
      if (isSourceAtFault || !isTransient(error) || attempt >= maxAttempts) throw error;
      session = undefined;
      await backoff(attempt, signal);
    }
  }
}

/** `undefined` if the registry answers a mount with an error, as some do. */
async function mount({
  target,
  descriptor: { digest },
  mountFrom: path,
  signal,
}: BlobCopy): Promise<UploadSession | 'mounted' | undefined> {
  if (path === undefined) return undefined;
  try {
    const mounted = await target.mountBlob({ path, digest }, signal);
    // A wrong answer would go unnoticed in registries that do not check the layers of a manifest.
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
  let sent = 0;
  const body = (): AsyncIterable<Uint8Array> =>
    readBlob({
      descriptor,
      open: (offset) => source.openBlob(descriptor, offset, signal),
      onBytes: (bytes) => {
        sent += bytes;
        onBytes(bytes);
      },
      backoff: (attempt) => backoff(attempt, signal),
      toError: toSourceError,
    });
  try {
    await target.finishUpload(session, descriptor, body, signal);
  } catch (error) {
    onBytes(-sent);
    await target.cancelUpload(session);
    throw error;
  }
}
