import * as v from 'valibot';
import { isFailureOf } from '../../../errors.ts';
import { digestOf } from '../../../image/digest.ts';
import { parseManifest, type ServedManifest } from '../client/index.ts';
import { copyImage, type ImageCopy } from './copy-image.ts';

/** cosign's tags beside an image: signature, attestations, bill of materials. */
const cosignSuffixes = ['.sig', '.att', '.sbom'];
const indexType = 'application/vnd.oci.image.index.v1+json';
const maxReferrers = 100;

/** Descriptors of referrers keep all their fields (`artifactType`, `annotations`) when an index is written anew. */
const indexSchema = v.object({
  manifests: v.pipe(
    v.array(v.looseObject({ digest: v.string() })),
    v.maxLength(maxReferrers, 'has too many entries'),
  ),
});

type ReferrerIndex = v.InferOutput<typeof indexSchema>;

/**
 * Copies what is attached to an image: cosign's tags, and OCI 1.1 referrers with the tag fallback. They are not part of the image, so their
 * absence is nothing, and their failure is a warning.
 */
export async function copyReferrers(
  root: ServedManifest,
  copy: ImageCopy,
  name: string,
): Promise<readonly string[]> {
  const base = root.digest.replace(':', '-');
  const attempts = [
    ...cosignSuffixes.map((suffix) => () => copyTag(`${base}${suffix}`, copy)),
    () => copyAttached(root.digest, base, copy),
  ];
  for (const attempt of attempts) {
    try {
      await attempt();
    } catch {
      copy.signal.throwIfAborted();
      // Why is in no way the workload's business: the image is there.
      return [`${name}: its signatures could not be copied, the image could`];
    }
  }
  return [];
}

const quiet = { onProgress: (): void => undefined };

async function copyTag(tag: string, copy: ImageCopy): Promise<void> {
  const manifest = await findTag(tag, copy);
  if (manifest === undefined) return;
  await copyImage(manifest, { ...copy, ...quiet });
  await copy.target.putManifest(tag, manifest, copy.signal);
}

/** In a repository that we may read, some say 403 of a tag that is not there. */
async function findTag(tag: string, copy: ImageCopy): Promise<ServedManifest | undefined> {
  try {
    return await copy.source.getManifest(tag, copy.signal);
  } catch (error) {
    if (isFailureOf('source', error, ['DENIED'])) return undefined;
    throw error;
  }
}

async function copyAttached(digest: string, fallbackTag: string, copy: ImageCopy): Promise<void> {
  const { source, target, signal } = copy;
  const served = (await source.getReferrers(digest, signal)) ?? (await findTag(fallbackTag, copy));
  if (served === undefined) return;
  const { manifests } = parseIndex(served);
  const unlisted: ReferrerIndex['manifests'] = [];
  for (const descriptor of manifests) {
    const manifest = await source.getManifest(descriptor.digest, signal);
    if (manifest === undefined) continue;
    // An index is not a referrer that anybody makes, and would be a way around the limits.
    if (parseManifest(manifest.bytes, manifest.mediaType).kind !== 'image') continue;
    await copyImage(manifest, { ...copy, ...quiet });
    const { hasSubject } = await target.putManifest(manifest.digest, manifest, signal);
    if (!hasSubject) unlisted.push(descriptor);
  }
  if (unlisted.length > 0) await addToFallback(fallbackTag, unlisted, copy);
}

/** A registry without the referrers API leaves it to the client to keep the list (distribution-spec "Referrers Tag Schema"). */
async function addToFallback(
  tag: string,
  added: ReferrerIndex['manifests'],
  { target, signal }: ImageCopy,
): Promise<void> {
  const known = await target.getManifest(tag, signal);
  const listed = known === undefined ? [] : parseIndex(known).manifests;
  const missing = added.filter(({ digest }) => !listed.some((entry) => entry.digest === digest));
  if (missing.length === 0) return;
  const index = { schemaVersion: 2, mediaType: indexType, manifests: [...listed, ...missing] };
  const bytes = new TextEncoder().encode(JSON.stringify(index));
  await target.putManifest(tag, { bytes, mediaType: indexType, digest: digestOf(bytes) }, signal);
}

function parseIndex({ bytes, mediaType }: ServedManifest): ReferrerIndex {
  parseManifest(bytes, mediaType);
  return v.parse(indexSchema, JSON.parse(new TextDecoder().decode(bytes)));
}
