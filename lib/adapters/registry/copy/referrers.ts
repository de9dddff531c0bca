import * as v from 'valibot';
import { isFailureOf } from '../../../errors.ts';
import { digestOf } from '../../../image/digest.ts';
import { manifestTypes, parseManifest, type ServedManifest } from '../client/index.ts';
import { copyImage, type ImageCopy } from './copy-image.ts';

/** Suffixes of cosign's tags: signature, attestations, SBOM. */
const cosignSuffixes = ['.sig', '.att', '.sbom'];
const [indexType] = manifestTypes;
const maxReferrers = 100;

/** Loose, so that descriptors keep `artifactType` and `annotations` in a new index. Some registries send null for an empty list. */
const indexSchema = v.object({
  manifests: v.nullish(
    v.pipe(
      v.array(v.looseObject({ digest: v.string() })),
      v.maxLength(maxReferrers, 'has too many entries'),
    ),
    [],
  ),
});

type ReferrerIndex = v.InferOutput<typeof indexSchema>;

/**
 * Copies cosign's tags and OCI 1.1 referrers, with the tag fallback. They are not part of the image: a failure is a
 * warning in the result.
 */
export async function copyReferrers(
  root: ServedManifest,
  copy: ImageCopy,
  name: string,
): Promise<readonly string[]> {
  const base = root.digest.replace(':', '-');
  const silent: ImageCopy = { ...copy, onProgress: () => undefined };
  const attempts = [
    ...cosignSuffixes.map((suffix) => () => copyTag(`${base}${suffix}`, silent)),
    () => copyReferrersOf(root.digest, base, silent),
  ];
  for (const attempt of attempts) {
    try {
      await attempt();
    } catch {
      copy.signal.throwIfAborted();
      return [`${name}: the image was copied, its signatures were not`];
    }
  }
  return [];
}

async function copyTag(tag: string, copy: ImageCopy): Promise<void> {
  const manifest = await readTag(tag, copy);
  if (manifest === undefined) return;
  await copyImage(manifest, copy);
  await copy.target.putManifest(tag, manifest, copy.signal);
}

/** In a readable repository, some registries send 403 for a tag that does not exist. */
async function readTag(tag: string, copy: ImageCopy): Promise<ServedManifest | undefined> {
  try {
    return await copy.source.getManifest(tag, copy.signal);
  } catch (error) {
    if (isFailureOf('source', error, ['DENIED'])) return undefined;
    throw error;
  }
}

async function copyReferrersOf(
  digest: string,
  fallbackTag: string,
  copy: ImageCopy,
): Promise<void> {
  const { source, target, signal } = copy;
  const served = (await source.getReferrers(digest, signal)) ?? (await readTag(fallbackTag, copy));
  if (served === undefined) return;
  const { manifests } = parseIndex(served);
  const unlisted: ReferrerIndex['manifests'] = [];
  for (const descriptor of manifests) {
    const manifest = await source.getManifest(descriptor.digest, signal);
    if (manifest === undefined) continue;
    // No tool makes an index a referrer, and its children would evade maxReferrers.
    if (parseManifest(manifest.bytes, manifest.mediaType).kind !== 'image') continue;
    await copyImage(manifest, copy);
    const { hasSubject } = await target.putManifest(manifest.digest, manifest, signal);
    if (!hasSubject) unlisted.push(descriptor);
  }
  if (unlisted.length > 0) await addToFallback(fallbackTag, unlisted, copy);
}

/** Without the referrers API, clients maintain the list (distribution-spec "Referrers Tag Schema"). */
async function addToFallback(
  tag: string,
  added: ReferrerIndex['manifests'],
  { target, signal }: ImageCopy,
): Promise<void> {
  const current = await target.getManifest(tag, signal);
  const listed = current === undefined ? [] : parseIndex(current).manifests;
  const missing = added.filter(({ digest }) => !listed.some((entry) => entry.digest === digest));
  if (missing.length === 0) return;
  const index = { schemaVersion: 2, mediaType: indexType, manifests: [...listed, ...missing] };
  const bytes = new TextEncoder().encode(JSON.stringify(index));
  await target.putManifest(tag, { bytes, mediaType: indexType, digest: digestOf(bytes) }, signal);
}

function parseIndex({ bytes, mediaType }: ServedManifest): ReferrerIndex {
  const index = v.parse(indexSchema, JSON.parse(new TextDecoder().decode(bytes)));
  if (index.manifests.length > 0) parseManifest(bytes, mediaType);
  return index;
}
