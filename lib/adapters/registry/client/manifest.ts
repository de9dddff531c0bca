import * as v from 'valibot';
import { isDigest } from '../../../image/digest.ts';
import { unsupported } from '../errors/index.ts';

/** A pointer to a manifest or blob: OCI image-spec `descriptor.md`. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
}

/** A layer; a foreign one may not be redistributed (`…foreign…`, `…nondistributable…`). */
export interface Layer extends Descriptor {
  readonly isForeign: boolean;
  /** Whether it can be downloaded from elsewhere; by default, distribution 2.8 and 3 reject its OCI manifest. @default false */
  readonly hasUrls?: boolean;
}

interface ImageManifest {
  readonly kind: 'image';
  readonly config: Descriptor;
  readonly layers: readonly Layer[];
}

/** The parsed fields of a manifest; copies write its original bytes. */
export type Manifest =
  | { readonly kind: 'index'; readonly manifests: readonly Descriptor[] }
  | ImageManifest;

/** In order of preference. Without the right type in `Accept`, distribution 2.8 sends 404, or converts the manifest. */
export const manifestTypes = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
] as const;

const indexTypes: readonly string[] = manifestTypes.slice(0, 2);
const imageTypes: readonly string[] = manifestTypes.slice(2);

/** Accepted only to reject them with a clear error. */
const schema1Types: readonly string[] = [
  'application/vnd.docker.distribution.manifest.v1+prettyjws',
  'application/vnd.docker.distribution.manifest.v1+json',
];

/** The `Accept` header for manifests. */
export const accept = [...manifestTypes, ...schema1Types].join(', ');

/** The limit of other clients and registries. */
export const maxManifestBytes = 4 * 1024 * 1024;
const maxEntries = 1_000;
const tooMany = `has more than ${maxEntries} entries`;

function objectOf<const Entries extends v.ObjectEntries>(
  entries: Entries,
): v.ObjectSchema<Entries, string> {
  return v.object(entries, 'is missing');
}

const descriptor = objectOf({
  mediaType: v.optional(v.pipe(v.string('is not a string'), v.maxLength(255, 'is too long')), ''),
  // Digests become parts of URLs (CVE-2024-3727).
  digest: v.pipe(v.string('is not a digest'), v.check(isDigest, 'is not a digest')),
  size: v.pipe(
    v.number('is not a size'),
    v.safeInteger('is not a size'),
    v.minValue(0, 'is not a size'),
  ),
});

const descriptors = v.pipe(v.array(descriptor, 'is not a list'), v.maxLength(maxEntries, tooMany));
/** Other clients ignore what is no list. */
const layer = objectOf({ ...descriptor.entries, urls: v.fallback(v.array(v.unknown()), []) });
const layers = v.pipe(v.array(layer, 'is not a list'), v.maxLength(maxEntries, tooMany));

const common = {
  schemaVersion: v.literal(2, 'is not 2'),
  mediaType: v.optional(v.string('is not a string')),
  // A schema 1 field that could describe other layers.
  fsLayers: v.optional(v.undefined('is not allowed in schema 2')),
};

const indexSchema = objectOf({
  ...common,
  manifests: descriptors,
  layers: v.optional(v.undefined('is not allowed beside manifests')),
  config: v.optional(v.undefined('is not allowed beside manifests')),
});

const imageSchema = objectOf({
  ...common,
  config: descriptor,
  // Go marshals a nil slice as null.
  layers: v.nullish(layers, []),
  manifests: v.optional(v.undefined('is not allowed beside layers')),
});

export function isIndexType(mediaType: string): boolean {
  return indexTypes.includes(mediaType);
}

export function isManifestType(mediaType: string): boolean {
  return isIndexType(mediaType) || imageTypes.includes(mediaType);
}

/** Includes schema 1. */
export function isKnownType(mediaType: string): boolean {
  return isManifestType(mediaType) || schema1Types.includes(mediaType);
}

/** Throws `RegistryError` `UNSUPPORTED` for the manifest format of before 2015. */
export function assertNotSchema1(mediaType: string): void {
  if (!schema1Types.includes(mediaType)) return;
  throw unsupported(
    'its manifest has the schema 1 format, which nodes no longer run; push it again with a current client',
  );
}

/**
 * Parses a manifest that was served as `mediaType`. Rejects a body that claims another type, or is an index and an image at
 * once (CVE-2021-41190). Throws `RegistryError` `UNSUPPORTED`.
 */
export function parseManifest(bytes: Uint8Array, mediaType: string): Manifest {
  assertNotSchema1(mediaType);
  if (!isManifestType(mediaType)) {
    throw unsupported(`its media type ${quote(mediaType)} is not that of an image`);
  }
  const body = parseJson(bytes);
  // 4 MiB have room for two million problems; one is enough.
  const result = isIndexType(mediaType)
    ? v.safeParse(indexSchema, body, { abortEarly: true })
    : v.safeParse(imageSchema, body, { abortEarly: true });
  if (!result.success) {
    const [issue] = result.issues;
    const where = v.getDotPath(issue);
    const problem = where === null ? 'it is not an object' : `${where} ${issue.message}`;
    throw unsupported(
      `its manifest is ${issue.message === tooMany ? 'too long' : 'invalid'}: ${problem}`,
    );
  }
  const { output } = result;
  if (output.mediaType !== undefined && output.mediaType !== mediaType) {
    throw unsupported('the media type in its manifest differs from that of the response');
  }
  const lookAlike = findLookAlike(body);
  if (lookAlike !== undefined) {
    throw unsupported(`its manifest is invalid: some clients read ${lookAlike}`);
  }
  if ('config' in output && output.config !== undefined) {
    const layers = (output.layers ?? []).map(({ urls, ...layer }) => ({
      ...layer,
      isForeign: isForeign(layer.mediaType),
      ...(urls.length > 0 && { hasUrls: true }),
    }));
    return { kind: 'image', config: output.config, layers };
  }
  return { kind: 'index', manifests: output.manifests ?? [] };
}

/** Names of the fields that decide on the content, folded as Go folds them. */
const manifestNames = foldAll({ ...indexSchema.entries, ...imageSchema.entries });
const descriptorNames = foldAll(descriptor.entries);
const maxNameLength = 16;

/**
 * Finds a key that Go reads as another one, such as `"Layers" as layers`: it ignores case, folds `ſ` to `s`, and takes the last of several. containerd and
 * distribution would then read other layers than this parser.
 */
function findLookAlike(body: unknown): string | undefined {
  const parts = ['config', 'layers', 'manifests'].map((name) => partOf(body, name)).flat();
  return (
    findAmong(body, manifestNames) ??
    parts
      .map((part) => findAmong(part, descriptorNames))
      .find((lookAlike) => lookAlike !== undefined)
  );
}

function findAmong(value: unknown, names: ReadonlyMap<string, string>): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  for (const key of Object.keys(value)) {
    // Folding long keys would be slow.
    const name = key.length > maxNameLength ? undefined : names.get(fold(key));
    if (name !== undefined && name !== key) return `${quote(key)} as ${name}`;
  }
  return undefined;
}

function foldAll(entries: object): ReadonlyMap<string, string> {
  return new Map(Object.keys(entries).map((name) => [fold(name), name]));
}

function fold(key: string): string {
  return key.toUpperCase().toLowerCase();
}

function partOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  const part: unknown = Reflect.get(value, name);
  return part;
}

function isForeign(mediaType: string): boolean {
  return mediaType.includes('.foreign.') || mediaType.includes('.nondistributable.');
}

/** The blobs that a registry must have: the config and all layers but those that may not be redistributed. */
export function requiredBlobs({ config, layers }: ImageManifest): readonly Descriptor[] {
  return [config, ...layers.filter(({ isForeign }) => !isForeign)];
}

/** Quotes and cuts text of a registry. */
export function quote(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw unsupported('its manifest is not JSON');
  }
}
