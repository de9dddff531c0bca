import type { RepositoryClient } from './client.ts';
import type { Descriptor } from './manifest.ts';

/** Makes a repository hold a few bytes of ours. */
export async function writeSmallBlob(
  target: RepositoryClient,
  bytes: Uint8Array,
  descriptor: Descriptor,
  signal: AbortSignal,
): Promise<void> {
  if (await target.hasBlob(descriptor.digest, signal)) return;
  const session = await target.startUpload(signal);
  await target.finishUpload(session, descriptor, () => once(bytes), signal);
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}
