import * as v from 'valibot';
import { isDigest } from '../../../image/digest.ts';
import { RegistryError } from '../errors/index.ts';

/** A pointer to a manifest or blob: OCI image-spec `descriptor.md`. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
}

/** A layer that its owner does not let others redistribute (`…foreign…`, `…nondistributable…`). */
export interface Layer extends Descriptor {
  readonly isForeign: boolean;
}

interface ImageManifest {
  readonly kind: 'image';
  readonly config: Descriptor;
  readonly layers: readonly Layer[];
}

/** What is read of a manifest; its bytes are never written anew. */
export type Manifest =
  | { readonly kind: 'index'; readonly manifests: readonly Descriptor[] }
  | ImageManifest;

/** Wanted everywhere, best first: without the right one distribution 2.8 says 404, or converts. */
export const manifestTypes = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
] as const;

const indexTypes: readonly string[] = manifestTypes.slice(0, 2);
const imageTypes: readonly string[] = manifestTypes.slice(2);

/** Asked for last, only to be told that the image is one. */
const schema1Types = [
  'application/vnd.docker.distribution.manifest.v1+prettyjws',
  'application/vnd.docker.distribution.manifest.v1+json',
] as const;

/** The header that asks for all of them. */
export const accept = [...manifestTypes, ...schema1Types].join(', ');

/** Readers everywhere stop at 4 MiB. */
export const maxManifestBytes = 4 * 1024 * 1024;
const maxEntries = 1_000;
const tooMany = `has more than ${maxEntries} entries`;

function objectOf<const Entries extends v.ObjectEntries>(
  entries: Entries,
): v.ObjectSchema<Entries, string> {
  return v.object(entries, 'is missing');
}

const descriptor = objectOf({
  mediaType: v.optional(v.pipe(v.string('is not a text'), v.maxLength(255, 'is too long')), ''),
  // Checked before it is put into any URL: `..` in a digest was CVE-2024-3727 elsewhere.
  digest: v.pipe(v.string('is not a digest'), v.check(isDigest, 'is not a digest')),
  size: v.pipe(
    v.number('is not a size'),
    v.safeInteger('is not a size'),
    v.minValue(0, 'is not a size'),
  ),
});

const descriptors = v.pipe(v.array(descriptor, 'is not a list'), v.maxLength(maxEntries, tooMany));

const common = {
  schemaVersion: v.literal(2, 'is not 2'),
  mediaType: v.optional(v.string('is not a text')),
  // Of schema 1, where it says something else of the same image.
  fsLayers: v.optional(v.undefined('stands beside what is newer')),
};

const indexSchema = objectOf({
  ...common,
  manifests: descriptors,
  layers: v.optional(v.undefined('stands beside manifests')),
  config: v.optional(v.undefined('stands beside manifests')),
});

const imageSchema = objectOf({
  ...common,
  config: descriptor,
  // Go writes null for a list without entries.
  layers: v.nullish(descriptors, []),
  manifests: v.optional(v.undefined('stands beside layers')),
});

/** A `Content-Type` without its parameters; empty where there is none. */
export function parseMediaType(header: string | undefined): string {
  return header?.split(';')[0]?.trim().toLowerCase() ?? '';
}

/** Whether the media type is that of an index. */
export function isIndexType(mediaType: string): boolean {
  return indexTypes.includes(mediaType);
}

/** Whether the media type is that of an index or an image. */
export function isManifestType(mediaType: string): boolean {
  return isIndexType(mediaType) || imageTypes.includes(mediaType);
}

/** Whether the media type is one that we ask for, the old ones too. */
export function isKnownType(mediaType: string): boolean {
  return isManifestType(mediaType) || schema1Types.some((old) => old === mediaType);
}

/** Throws `RegistryError` `UNSUPPORTED` for the format of before 2015. */
export function assertNotSchema1(mediaType: string): void {
  if (!schema1Types.some((old) => old === mediaType)) return;
  throw unsupported('it is in the old schema 1 format, which nodes no longer run; push it anew');
}

/**
 * Reads the bytes of a manifest that was served as `mediaType`. A body that claims another type, or is index and image at once
 * (CVE-2021-41190), is refused. Throws `RegistryError` `UNSUPPORTED`.
 */
export function parseManifest(bytes: Uint8Array, mediaType: string): Manifest {
  assertNotSchema1(mediaType);
  if (!isManifestType(mediaType)) {
    throw unsupported(`its media type ${quote(mediaType)} is not an image's`);
  }
  const body = parseJson(bytes);
  // Only the first problem is told, and 4 MiB have room for two million.
  const result = isIndexType(mediaType)
    ? v.safeParse(indexSchema, body, { abortEarly: true })
    : v.safeParse(imageSchema, body, { abortEarly: true });
  if (!result.success) {
    const [issue] = result.issues;
    const where = v.getDotPath(issue);
    const problem = where === null ? 'it is no object' : `${where} ${issue.message}`;
    throw unsupported(
      `its manifest is ${issue.message === tooMany ? 'too long' : 'broken'}: ${problem}`,
    );
  }
  const { output } = result;
  if (output.mediaType !== undefined && output.mediaType !== mediaType) {
    throw unsupported('its manifest says that it is of another type than the registry does');
  }
  const odd = findLookAlike(body);
  if (odd !== undefined) {
    throw unsupported(`its manifest is broken: ${quote(odd.key)} is read as ${odd.name} by some`);
  }
  if ('config' in output && output.config !== undefined) {
    const layers = (output.layers ?? []).map((layer) => ({
      ...layer,
      isForeign: isForeign(layer.mediaType),
    }));
    return { kind: 'image', config: output.config, layers };
  }
  return { kind: 'index', manifests: output.manifests ?? [] };
}

interface LookAlike {
  readonly key: string;
  readonly name: string;
}

/** What decides on what is below a manifest, in it and in its descriptors, as Go compares it. */
const manifestNames = foldAll({ ...indexSchema.entries, ...imageSchema.entries });
const descriptorNames = foldAll(descriptor.entries);
const maxNameLength = 16;

/**
 * A key that Go reads as another one: it tells neither capitals from small letters nor `ſ` from `s`, and takes what comes last. Nodes, and
 * distribution, would see other layers than we do.
 */
function findLookAlike(body: unknown): LookAlike | undefined {
  const parts = ['config', 'layers', 'manifests'].map((name) => partOf(body, name)).flat();
  return (
    findAmong(body, manifestNames) ??
    parts.map((part) => findAmong(part, descriptorNames)).find((found) => found !== undefined)
  );
}

function findAmong(value: unknown, names: ReadonlyMap<string, string>): LookAlike | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  for (const key of Object.keys(value)) {
    // 4 MiB have room for many keys.
    const name = key.length > maxNameLength ? undefined : names.get(fold(key));
    if (name !== undefined && name !== key) return { key, name };
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

/** Others' text, for a sentence. */
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

function unsupported(message: string): RegistryError {
  return new RegistryError('UNSUPPORTED', message);
}
