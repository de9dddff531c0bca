import { type Bytes, toDigest, toJsonBytes } from './digest.ts';
import { toDiffId, toLayer } from './layer.ts';
import { type Descriptor, manifestTypes } from './manifest.ts';

type Format = 'oci' | 'docker';

/** A descriptor with the optional fields of an index entry. */
interface ImageDescriptor extends Descriptor {
  readonly platform?: Platform;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly artifactType?: string;
}

interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}

/** A manifest with its blobs and children, ready to be stored or pushed. */
export interface Image {
  readonly digest: string;
  readonly mediaType: string;
  readonly bytes: Bytes;
  /** Its entry in an index. */
  readonly descriptor: ImageDescriptor;
  /** Config and layers; empty for an index. */
  readonly blobs: readonly ImageBlob[];
  /** The manifests that an index lists. */
  readonly children: readonly Image[];
}

interface ImageBlob extends Descriptor {
  readonly bytes: Bytes;
}

export interface ImageOptions {
  /** A number of incompressible bytes per layer, or the layer blob itself. @default one layer of 1024 bytes */
  readonly layers?: readonly (number | Bytes)[];
  /** `linux/arm/v7`. @default linux/amd64 */
  readonly platform?: string;
  /** @default oci */
  readonly mediaTypes?: Format;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Varies the bytes of layers given by number. @default 'image' */
  readonly seed?: string;
  /** @default the config of a container image for the platform */
  readonly config?: { readonly mediaType: string; readonly bytes: Bytes };
  /** @default the format's tar+gzip */
  readonly layerMediaType?: string;
  readonly artifactType?: string;
  readonly subject?: Descriptor;
}

const blobTypes = {
  oci: {
    config: 'application/vnd.oci.image.config.v1+json',
    layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  },
  docker: {
    config: 'application/vnd.docker.container.image.v1+json',
    layer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
  },
} as const satisfies Record<Format, object>;

/** The empty config `{}` of an artifact (image-spec "Guidance for an Empty Descriptor"). */
export const emptyConfig = {
  mediaType: 'application/vnd.oci.empty.v1+json',
  bytes: toJsonBytes({}),
} as const;

/** Makes an image for one platform, or another artifact. */
export function makeImage(options: ImageOptions = {}): Image {
  const { mediaTypes = 'oci', platform = 'linux/amd64', layers = [1024] } = options;
  const { annotations, artifactType, subject, seed = 'image' } = options;
  const types = blobTypes[mediaTypes];
  const contents = layers.map((layer, index) =>
    typeof layer === 'number' ? toLayer(layer, `${seed} ${platform} ${index}`) : layer,
  );
  const config = toBlob(
    options.config ?? { mediaType: types.config, bytes: toConfig(platform, contents, seed) },
  );
  const mediaType = options.layerMediaType ?? types.layer;
  const layerBlobs = contents.map((bytes) => toBlob({ mediaType, bytes }));
  const manifest = {
    schemaVersion: 2,
    mediaType: manifestTypes[mediaTypes].manifest,
    artifactType,
    config: toDescriptor(config),
    layers: layerBlobs.map(toDescriptor),
    subject: subject && toDescriptor(subject),
    annotations,
  };
  const fields = {
    platform: toPlatform(platform),
    ...(artifactType !== undefined && { artifactType }),
  };
  return toImage(manifest, fields, [config, ...layerBlobs], []);
}

export interface IndexOptions extends Pick<ImageOptions, 'mediaTypes' | 'annotations'> {
  /** Whether each child has an attestation manifest, as buildkit writes them. @default false */
  readonly attestations?: boolean;
}

export function makeIndex(
  images: readonly Image[],
  { mediaTypes = 'oci', annotations, attestations = false }: IndexOptions = {},
): Image {
  const children = attestations ? [...images, ...images.map(makeAttestation)] : images;
  const index = {
    schemaVersion: 2,
    mediaType: manifestTypes[mediaTypes].index,
    manifests: children.map(({ descriptor }) => descriptor),
    annotations,
  };
  return toImage(index, {}, [], children);
}

/** Makes an OCI 1.1 artifact with a `subject`, such as an SBOM or a signature bundle. */
export function makeReferrer(
  subject: Image,
  options: Pick<ImageOptions, 'annotations'> & { readonly artifactType: string },
): Image {
  return makeImage({
    ...options,
    layers: [toJsonBytes({ about: subject.digest })],
    layerMediaType: options.artifactType,
    config: emptyConfig,
    subject: subject.descriptor,
  });
}

/** Makes a cosign signature: an image that only its tag connects with the signed image. */
export function makeSignature(signed: Image): { readonly tag: string; readonly image: Image } {
  const payload = toJsonBytes({ critical: { image: { 'docker-manifest-digest': signed.digest } } });
  const image = makeImage({
    layers: [payload],
    layerMediaType: 'application/vnd.dev.cosign.simplesigning.v1+json',
  });
  return { tag: `${referrersTag(signed.digest)}.sig`, image };
}

/** The tag of the referrers index in a registry without the referrers API (distribution-spec "Referrers Tag Schema"). */
export function referrersTag(digest: string): string {
  return digest.replace(':', '-');
}

function makeAttestation({ digest }: Image): Image {
  const image = makeImage({
    layers: [toJsonBytes({ _type: 'https://in-toto.io/Statement/v0.1', subject: [{ digest }] })],
    layerMediaType: 'application/vnd.in-toto+json',
    platform: 'unknown/unknown',
  });
  const annotations = {
    'vnd.docker.reference.digest': digest,
    'vnd.docker.reference.type': 'attestation-manifest',
  };
  return { ...image, descriptor: { ...image.descriptor, annotations } };
}

function toImage(
  manifest: { readonly mediaType: string },
  fields: Pick<ImageDescriptor, 'platform' | 'artifactType'>,
  blobs: readonly ImageBlob[],
  children: readonly Image[],
): Image {
  const { mediaType } = manifest;
  const bytes = toJsonBytes(manifest);
  const digest = toDigest(bytes);
  const descriptor = { mediaType, digest, size: bytes.length, ...fields };
  return { digest, mediaType, bytes, descriptor, blobs, children };
}

function toBlob({ mediaType, bytes }: Pick<ImageBlob, 'mediaType' | 'bytes'>): ImageBlob {
  return { mediaType, bytes, digest: toDigest(bytes), size: bytes.length };
}

function toDescriptor({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size };
}

function toPlatform(platform: string): Platform {
  const [os = '', architecture = '', variant] = platform.split('/');
  return { architecture, os, ...(variant !== undefined && { variant }) };
}

function toConfig(platform: string, layers: readonly Bytes[], seed: string): Bytes {
  return toJsonBytes({
    ...toPlatform(platform),
    config: { Labels: { seed } },
    rootfs: { type: 'layers', diff_ids: layers.map(toDiffId) },
    history: layers.map(() => ({ created: '2026-01-01T00:00:00Z', created_by: 'image-cloner' })),
  });
}
