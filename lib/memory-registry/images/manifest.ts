import * as v from 'valibot';
import { isDigest } from '../../image/digest.ts';
import type { Bytes } from './digest.ts';

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

/** The parts of a manifest that a registry must understand. */
export interface ManifestContent {
  readonly isIndex: boolean;
  /** Digests of the manifests that an index lists. */
  readonly children: readonly string[];
  /** Digest of the linux/amd64 manifest of an index. */
  readonly defaultChild: string | undefined;
  /** Digests of config and layers, without foreign layers (those with `urls`). */
  readonly blobs: readonly string[];
  readonly subject: { readonly digest: string } | undefined;
  /** The manifest's `artifactType`, or else the media type of its config. */
  readonly artifactType: string | undefined;
  readonly annotations: Readonly<Record<string, string>> | undefined;
}

/** Media types of manifests by format. */
export const manifestTypes = {
  oci: {
    index: 'application/vnd.oci.image.index.v1+json',
    manifest: 'application/vnd.oci.image.manifest.v1+json',
  },
  docker: {
    index: 'application/vnd.docker.distribution.manifest.list.v2+json',
    manifest: 'application/vnd.docker.distribution.manifest.v2+json',
  },
} as const;

const digest = v.pipe(v.string(), v.check(isDigest, 'not a digest'));
const descriptor = v.object({
  mediaType: v.string(),
  digest,
  size: v.number(),
  urls: v.nullish(v.array(v.string()), []),
});
const child = v.object({
  ...descriptor.entries,
  platform: v.nullish(v.object({ os: v.string(), architecture: v.string() })),
});
const common = {
  schemaVersion: v.literal(2),
  mediaType: v.optional(v.string()),
  subject: v.nullish(v.object({ digest })),
  artifactType: v.optional(v.string()),
  annotations: v.nullish(v.record(v.string(), v.string())),
};
// A body that is both an index and an image is rejected (CVE-2021-41190).
const indexSchema = v.object({
  ...common,
  manifests: v.array(child),
  layers: v.optional(v.undefined()),
  config: v.optional(v.undefined()),
});
const imageSchema = v.object({
  ...common,
  config: descriptor,
  layers: v.array(descriptor),
  manifests: v.optional(v.undefined()),
});

const indexTypes: readonly string[] = [manifestTypes.oci.index, manifestTypes.docker.index];
const imageTypes: readonly string[] = [manifestTypes.oci.manifest, manifestTypes.docker.manifest];

/** Parses a manifest with the Content-Type `mediaType`. Throws an error that says what is invalid. */
export function parseManifest(mediaType: string, bytes: Bytes): ManifestContent {
  const body: unknown = JSON.parse(new TextDecoder().decode(bytes));
  if (indexTypes.includes(mediaType)) {
    const { manifests, ...index } = v.parse(indexSchema, body);
    expectType(index.mediaType, mediaType);
    const defaultChild = manifests.find(
      ({ platform }) => platform?.os === 'linux' && platform.architecture === 'amd64',
    );
    return {
      isIndex: true,
      children: manifests.map(({ digest }) => digest),
      defaultChild: defaultChild?.digest,
      blobs: [],
      subject: index.subject ?? undefined,
      artifactType: index.artifactType,
      annotations: index.annotations ?? undefined,
    };
  }
  if (!imageTypes.includes(mediaType))
    throw new Error(`media type ${mediaType} is not a manifest type`);
  const image = v.parse(imageSchema, body);
  expectType(image.mediaType, mediaType);
  // Most registries do not require foreign layers; distribution 2.8 rejects the manifest instead.
  const layers = image.layers.filter(({ urls }) => urls === null || urls.length === 0);
  return {
    isIndex: false,
    children: [],
    defaultChild: undefined,
    blobs: [image.config, ...layers].map(({ digest }) => digest),
    subject: image.subject ?? undefined,
    artifactType: image.artifactType ?? image.config.mediaType,
    annotations: image.annotations ?? undefined,
  };
}

function expectType(mediaType: string | undefined, contentType: string): void {
  if (mediaType === undefined || mediaType === contentType) return;
  throw new Error(`mediaType in manifest should be '${contentType}' not '${mediaType}'`);
}
