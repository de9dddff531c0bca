import { digestOf } from '../../../image/digest.ts';
import { type Descriptor, manifestTypes, type RepositoryClient } from '../client/index.ts';
import { writeSmallBlob } from './write-small-blob.ts';

/** Config and layer of a marker (image-spec `manifest.md`, "Guidance for an Empty Descriptor"). */
const emptyBytes = new TextEncoder().encode('{}');
const empty: Descriptor = {
  mediaType: 'application/vnd.oci.empty.v1+json',
  digest: digestOf(emptyBytes),
  size: emptyBytes.length,
};
const imageType = manifestTypes[2];
const artifactType = 'application/vnd.image-cloner.marker.v1+json';

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
