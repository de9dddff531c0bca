import { isFailureOf } from '../../../errors.ts';
import { digestOf } from '../../../image/digest.ts';
import {
  type Descriptor,
  manifestTypes,
  type RepositoryClient,
  type ServedManifest,
} from '../client/index.ts';
import { isTransient } from '../errors/index.ts';

/** Config and layer of a marker (image-spec `manifest.md`, "Guidance for an Empty Descriptor"). */
const emptyBytes = new TextEncoder().encode('{}');
const empty: Descriptor = {
  mediaType: 'application/vnd.oci.empty.v1+json',
  digest: digestOf(emptyBytes),
  size: emptyBytes.length,
};
const maxBlobAttempts = 3;
const imageType = manifestTypes[2];
const artifactType = 'application/vnd.image-cloner.marker.v1+json';

/** Succeeds also if the registry refuses the write, as with immutable tags, and the tag holds the manifest already. */
export async function writeTag(
  target: RepositoryClient,
  tag: string,
  root: ServedManifest,
  signal: AbortSignal,
): Promise<void> {
  try {
    await target.putManifest(tag, root, signal);
  } catch (error) {
    if (!isFailureOf('backup', error)) throw error;
    const held = await target.headManifest(tag, signal).catch(() => undefined);
    if (held?.digest !== root.digest) throw error;
  }
}

/** Writes tags whose names are their content, in this order. */
export async function writeMarkers(
  target: RepositoryClient,
  tags: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  await writeSmallBlob(target, emptyBytes, empty, signal);
  for (const tag of tags) {
    const bytes = toManifest(tag);
    const manifest = { bytes, mediaType: imageType, digest: digestOf(bytes) };
    await target.putManifest(tag, manifest, signal);
  }
}

/** Each tag has its own manifest: many registries delete by digest, which deletes all tags of a shared one. */
function toManifest(tag: string): Uint8Array {
  const manifest = {
    schemaVersion: 2,
    mediaType: imageType,
    artifactType,
    config: empty,
    layers: [empty],
    annotations: { 'image-cloner/marker': tag },
  };
  return new TextEncoder().encode(JSON.stringify(manifest));
}

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
      if (!isTransient(error) || attempt >= maxBlobAttempts) throw error;
    }
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}
