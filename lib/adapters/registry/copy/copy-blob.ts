import { isFailureOf } from '../../../errors.ts';
import type { Backoff } from '../../../util/backoff.ts';
import type { TurnBudget } from '../../../util/turn-budget.ts';
import type { Descriptor, RepositoryClient, UploadSession } from '../client/index.ts';
import { isTransient } from '../errors/index.ts';
import type { BlobParts, RunningBlob } from './blob-parts.ts';
import { readBlob } from './read-blob.ts';
import type { LayerSharing } from './shared-layers.ts';

export interface BlobCopy {
  readonly source: RepositoryClient;
  readonly target: RepositoryClient;
  readonly descriptor: Descriptor;
  /** Path of the source if both are in one registry: the copy then mounts blobs. */
  readonly mountFrom: string | undefined;
  readonly sharing: LayerSharing;
  readonly parts: BlobParts;
  readonly turns: TurnBudget;
  /** Of the source's registry. */
  readonly sourceHost: string;
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
  const { target, descriptor, sharing, signal } = copy;
  if (await target.hasBlob(descriptor.digest, signal)) return 0;
  const session = await mount(copy);
  if (session === 'mounted') return 0;
  await sharing.move(descriptor.digest, () => uploadWithRetries(copy, session));
  return descriptor.size;
}

async function uploadWithRetries(
  copy: BlobCopy,
  mountSession: UploadSession | undefined,
): Promise<void> {
  const { target, parts, sourceHost, backoff, signal } = copy;
  let session = mountSession;
  let isSourceAtFault = false;
  let hasParts = false;
  const toSourceError = (error: unknown): unknown => {
    isSourceAtFault = true;
    return copy.toSourceError(error);
  };
  const onParts = (): void => {
    hasParts = true;
  };
  for (let attempt = 1; ; attempt += 1) {
    try {
      session ??= await target.startUpload(signal);
      await upload({ ...copy, toSourceError, onParts }, session);
      return;
    } catch (error) {
      signal.throwIfAborted();
      // A server that answers ranges wrongly may serve the whole blob correctly.
      const mayBeWhole = hasParts && isFailureOf('source', error, ['REFUSED']);
      if (mayBeWhole) parts.pause(sourceHost);
      // readBlob has retried other errors of the source.
      const isFinal = !mayBeWhole && (isSourceAtFault || !isTransient(error));
      if (isFinal || attempt >= maxAttempts) throw error;
      isSourceAtFault = hasParts = false;
      session = undefined;
      await backoff(attempt, signal);
    }
  }
}

/** Mounts the blob, or begins a session to upload it. `undefined` if there is nothing to mount it from, or the attempt fails. */
async function mount({
  target,
  descriptor: { digest },
  mountFrom,
  sharing,
  signal,
}: BlobCopy): Promise<UploadSession | 'mounted' | undefined> {
  const path = mountFrom ?? sharing.donorOf(digest);
  if (path === undefined) return undefined;
  let hasAnswered = true;
  const mounted = await target.mountBlob({ path, digest }, signal).catch((error: unknown) => {
    hasAnswered = !isTransient(error);
    return undefined;
  });
  signal.throwIfAborted();
  // A wrong answer would go unnoticed in registries that do not check the layers of a manifest.
  const isThere = mounted === 'mounted' && (await target.hasBlob(digest, signal));
  if (mountFrom === undefined && hasAnswered) sharing.onMount(digest, isThere);
  return mounted === 'mounted' && !isThere ? undefined : mounted;
}

async function upload(
  copy: BlobCopy & Pick<RunningBlob, 'onParts'>,
  session: UploadSession,
): Promise<void> {
  const { source, target, descriptor, parts, turns, sourceHost, backoff, signal } = copy;
  const { toSourceError, onBytes, onParts } = copy;
  let sent = 0;
  const body = (): AsyncIterable<Uint8Array> =>
    readBlob({
      descriptor,
      open: async (offset) =>
        parts.speedUp(await source.openBlob(descriptor, offset, signal), {
          host: sourceHost,
          size: descriptor.size,
          offset,
          openPart: (range, within) => source.openPart(descriptor, range, within),
          onParts,
          signal,
        }),
      onBytes: (bytes) => {
        sent += bytes;
        onBytes(bytes);
      },
      backoff: (attempt) => backoff(attempt, signal),
      giveWay: turns.spend,
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
