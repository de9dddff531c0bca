import * as v from 'valibot';
import { digestOf } from '../../../image/digest.ts';
import { type IndexEntry, type Platforms, selectEntries } from '../../../image/platforms.ts';
import { isIndexType, type ServedManifest } from '../client/index.ts';

/** What the listed platforms leave of an index. */
export interface Selection {
  /** The index itself if nothing is left out; absent if it has none of the platforms. */
  readonly manifest?: ServedManifest;
  /** The platforms that it names. */
  readonly platforms: readonly string[];
}

interface Entry extends IndexEntry {
  readonly mediaType: string;
}

const text = v.fallback(v.string(), '');

const platformSchema = v.object({
  os: v.pipe(v.string(), v.nonEmpty()),
  architecture: v.pipe(v.string(), v.nonEmpty()),
  variant: text,
});

/** An entry whose platform cannot be read counts as one without a platform. */
const entrySchema = v.object({
  mediaType: text,
  digest: v.string(),
  platform: v.fallback(v.optional(platformSchema), undefined),
  annotations: v.fallback(v.record(v.string(), v.unknown()), {}),
});

const indexSchema = v.object({ manifests: v.array(entrySchema) });
const rawSchema = v.object({ manifests: v.array(v.unknown()) });

/** The indexes that an index lists without a platform, so that only they themselves name the platforms. */
export function nestedIndexes(index: ServedManifest): readonly string[] {
  const nested = readEntries(parseJson(index)).filter(
    ({ mediaType, platform }) => platform === undefined && isIndexType(mediaType),
  );
  return [...new Set(nested.map(({ digest }) => digest))];
}

/**
 * Makes an index of the listed platforms and their attestations, in the same order and with the other fields unchanged. Pure:
 * every process makes the same bytes. `nested` has the selections of its nested indexes, by their digests.
 */
export function selectPlatforms(
  index: ServedManifest,
  platforms: Platforms,
  nested: ReadonlyMap<string, Selection> = new Map(),
): Selection {
  const body = parseJson(index);
  const entries = readEntries(body);
  const images = entries.filter(({ attestationOf }) => attestationOf === undefined);
  const platformsOf = ({ digest, platform }: Entry): readonly string[] =>
    (platform === undefined ? (nested.get(digest)?.platforms ?? []) : [platform]).filter(isKnown);
  const named = [...new Set(images.flatMap(platformsOf))];
  const isEmpty = ({ digest }: Entry): boolean => {
    const selection = nested.get(digest);
    return selection !== undefined && selection.manifest === undefined;
  };
  const selected = selectEntries(
    entries.filter((entry) => !isEmpty(entry)),
    platforms,
  );
  if (named.length > 0 && !selected.some((entry) => platformsOf(entry).length > 0)) {
    return { platforms: named };
  }
  const replacements = new Map(
    selected.flatMap(({ digest }) => {
      const manifest = nested.get(digest)?.manifest;
      return manifest === undefined || manifest.digest === digest ? [] : [[digest, manifest]];
    }),
  );
  if (selected.length === entries.length && replacements.size === 0) {
    return { manifest: index, platforms: named };
  }
  const raw = v.parse(rawSchema, body).manifests;
  const manifests = selected.map((entry) => {
    const replacement = replacements.get(entry.digest);
    const own = raw[entries.indexOf(entry)];
    if (replacement === undefined) return own;
    return withFields(own, { digest: replacement.digest, size: replacement.bytes.length });
  });
  const bytes = new TextEncoder().encode(JSON.stringify(withFields(body, { manifests })));
  const manifest = { bytes, digest: digestOf(bytes), mediaType: index.mediaType };
  return { manifest, platforms: named };
}

function readEntries(body: unknown): readonly Entry[] {
  return v.parse(indexSchema, body).manifests.map(toEntry);
}

/** The annotations are buildkit's: https://docs.docker.com/build/metadata/attestations/attestation-storage */
function toEntry({
  mediaType,
  digest,
  platform,
  annotations,
}: v.InferOutput<typeof entrySchema>): Entry {
  const isAttestation = annotations['vnd.docker.reference.type'] === 'attestation-manifest';
  const subject = annotations['vnd.docker.reference.digest'];
  return {
    mediaType,
    digest,
    ...(platform !== undefined && { platform: formatPlatform(platform) }),
    ...(isAttestation && typeof subject === 'string' && { attestationOf: subject }),
  };
}

function formatPlatform({
  os,
  architecture,
  variant,
}: v.InferOutput<typeof platformSchema>): string {
  return [os, architecture, ...(variant === '' ? [] : [variant])].join('/').toLowerCase();
}

/** Buildkit writes the other one for what no node runs. */
function isKnown(platform: string): boolean {
  return platform !== 'unknown/unknown';
}

/** Replaces values of an object and keeps the order of its keys. */
function withFields(value: unknown, fields: Readonly<Record<string, unknown>>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const replaced = new Map(Object.entries(fields));
  const entries: readonly (readonly [string, unknown])[] = Object.entries(value);
  return Object.fromEntries(
    entries.map(([key, old]) => [key, replaced.has(key) ? replaced.get(key) : old]),
  );
}

function parseJson({ bytes }: ServedManifest): unknown {
  return JSON.parse(new TextDecoder().decode(bytes));
}
