import type { Descriptor, RepositoryClient } from '../client/index.ts';
import { isTransient } from '../errors/index.ts';

const maxAttempts = 3;

/** Uploads a few bytes unless the repository has them. A failed upload cannot be resumed, so each attempt starts a new one. */
export async function writeSmallBlob(
  target: RepositoryClient,
  bytes: Uint8Array,
  descriptor: Descriptor,
  signal: AbortSignal,
): Promise<void> {
  if (await target.hasBlob(descriptor.digest, signal)) return;
  for (let attempt = 1; ; attempt += 1) {
    const session = await target.startUpload(signal);
    try {
      await target.finishUpload(session, descriptor, () => once(bytes), signal);
      return;
    } catch (error) {
      await target.cancelUpload(session);
      signal.throwIfAborted();
      if (!isTransient(error) || attempt >= maxAttempts) throw error;
    }
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}
