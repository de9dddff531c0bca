import * as v from 'valibot';
import { isDigest } from '../../image/digest.ts';
import type { Bytes } from './digest.ts';

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

/** What a registry must understand of a manifest: what it needs, and what it is about. */
export interface ManifestContent {
  readonly isIndex: boolean;
  /** Manifests that it lists. */
  readonly children: readonly string[];
  /** The one for linux/amd64. */
  readonly defaultChild?: string;
  /** Config and layers, those left out that have their own `urls`. */
  readonly blobs: readonly string[];
  readonly subject?: { readonly digest: string };
  /** Its own, or the media type of its config. */
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Media types of manifests, by format. */
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
const descriptor = v.looseObject({
  mediaType: v.string(),
  digest,
  size: v.number(),
  urls: v.nullish(v.array(v.string()), []),
});
const child = v.looseObject({
  ...descriptor.entries,
  platform: v.nullish(v.looseObject({ os: v.string(), architecture: v.string() })),
});
const common = {
  schemaVersion: v.literal(2),
  mediaType: v.optional(v.string()),
  subject: v.nullish(v.looseObject({ digest })),
  artifactType: v.optional(v.string()),
  annotations: v.nullish(v.record(v.string(), v.string())),
};
// A body that reads as an index and as an image is neither (CVE-2021-41190).
const indexSchema = v.looseObject({
  ...common,
  manifests: v.array(child),
  layers: v.optional(v.undefined()),
  config: v.optional(v.undefined()),
});
const imageSchema = v.looseObject({
  ...common,
  config: descriptor,
  layers: v.array(descriptor),
  manifests: v.optional(v.undefined()),
});

const indexTypes: readonly string[] = [manifestTypes.oci.index, manifestTypes.docker.index];
const imageTypes: readonly string[] = [manifestTypes.oci.manifest, manifestTypes.docker.manifest];

/** Reads a manifest that is sent as `mediaType`. Throws an error whose message says what is wrong with it. */
export function parseManifest(mediaType: string, bytes: Bytes): ManifestContent {
  const body: unknown = JSON.parse(new TextDecoder().decode(bytes));
  if (indexTypes.includes(mediaType)) {
    const index = v.parse(indexSchema, body);
    expectType(index.mediaType, mediaType);
    const children = index.manifests.map(({ digest }) => digest);
    const defaultChild = index.manifests.find(
      ({ platform }) => platform?.os === 'linux' && platform.architecture === 'amd64',
    )?.digest;
    return {
      isIndex: true,
      children,
      ...(defaultChild !== undefined && { defaultChild }),
      blobs: [],
      ...toAbout(index, index.artifactType),
    };
  }
  if (!imageTypes.includes(mediaType)) throw new Error(`no manifest is of type ${mediaType}`);
  const image = v.parse(imageSchema, body);
  expectType(image.mediaType, mediaType);
  // Foreign layers live elsewhere; most registries take them on trust (distribution 2.8 refuses the manifest instead).
  const layers = image.layers.filter(({ urls }) => urls === null || urls.length === 0);
  return {
    isIndex: false,
    children: [],
    blobs: [image.config, ...layers].map(({ digest }) => digest),
    ...toAbout(image, image.artifactType ?? image.config.mediaType),
  };
}

function expectType(written: string | undefined, sent: string): void {
  if (written === undefined || written === sent) return;
  throw new Error(`mediaType in manifest should be '${sent}' not '${written}'`);
}

function toAbout(
  { subject, annotations }: v.InferOutput<typeof indexSchema | typeof imageSchema>,
  artifactType: string | undefined,
): Pick<ManifestContent, 'subject' | 'artifactType' | 'annotations'> {
  return {
    ...(subject && { subject: { digest: subject.digest } }),
    ...(artifactType !== undefined && { artifactType }),
    ...(annotations && { annotations }),
  };
}
