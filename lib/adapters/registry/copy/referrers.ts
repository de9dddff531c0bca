import * as v from 'valibot';
import { isFailureOf } from '../../../errors.ts';
import { digestOf } from '../../../image/digest.ts';
import { cosignTags, referrersTag } from '../../../image/tags.ts';
import {
  manifestTypes,
  parseManifest,
  type RepositoryClient,
  type ServedManifest,
} from '../client/index.ts';
import { copyImage, type ImageCopy } from './copy-image.ts';

const [indexType] = manifestTypes;
const maxReferrers = 100;

/** Loose, so that descriptors keep `artifactType` and `annotations` in a new index. */
const descriptorSchema = v.looseObject({ digest: v.string() });

/** Some registries send null for an empty list. */
const indexSchema = v.object({
  manifests: v.nullish(
    v.pipe(v.array(descriptorSchema), v.maxLength(maxReferrers, 'has too many entries')),
    [],
  ),
});

type Descriptors = readonly v.InferOutput<typeof descriptorSchema>[];

/** What a registry has for one image. */
export interface FoundReferrers {
  /** Of the image. */
  readonly digest: string;
  readonly tagged: readonly { readonly tag: string; readonly digest: string }[];
  readonly listed: Descriptors;
  /** What could not be read. */
  readonly failures: readonly unknown[];
}

/** Looks for cosign's tags and reads the list of OCI 1.1 referrers, all at once. */
export async function findReferrers(
  source: RepositoryClient,
  digest: string,
  signal: AbortSignal,
): Promise<FoundReferrers> {
  const failures: unknown[] = [];
  const orNothing = async <Found>(found: Promise<readonly Found[]>): Promise<readonly Found[]> => {
    try {
      return await found;
    } catch (error) {
      signal.throwIfAborted();
      failures.push(error);
      return [];
    }
  };
  const readCosignTag = async (tag: string): Promise<FoundReferrers['tagged']> => {
    const found = await unlessDenied(source.resolveManifest(tag, signal));
    return found === undefined ? [] : [{ tag, digest: found.digest }];
  };
  const [listed, ...tagged] = await Promise.all([
    orNothing(readList(source, digest, signal)),
    ...cosignTags(digest).map((tag) => orNothing(readCosignTag(tag))),
  ]);
  return { digest, tagged: tagged.flat(), listed, failures };
}

/** Copies what the target lacks, at most `maxImageBytes` in total. Continues after a failure, and rejects with the first one. */
export async function copyReferrers(
  { digest, tagged, listed, failures }: FoundReferrers,
  copy: ImageCopy,
): Promise<void> {
  const { source, target, signal } = copy;
  const failed = [...failures];
  const unlisted: Descriptors[number][] = [];
  let leftBytes = copy.maxImageBytes;

  const copyOne = async (manifest: ServedManifest): Promise<void> => {
    let totalBytes = 0;
    const onProgress = (_done: number, total: number): void => {
      totalBytes = total;
    };
    await copyImage(manifest, { ...copy, maxImageBytes: leftBytes, onProgress });
    leftBytes -= totalBytes;
  };
  const copyTagged = async ({ tag, digest }: FoundReferrers['tagged'][number]): Promise<void> => {
    if ((await target.headManifest(tag, signal))?.digest === digest) return;
    const manifest = await source.getManifest(tag, signal);
    if (manifest === undefined) return;
    await copyOne(manifest);
    await target.putManifest(tag, manifest, signal);
  };
  const copyListed = async (descriptor: Descriptors[number]): Promise<void> => {
    const manifest = await source.getManifest(descriptor.digest, signal);
    if (manifest === undefined) return;
    // No tool makes an index a referrer, and its children would evade maxReferrers.
    if (parseManifest(manifest.bytes, manifest.mediaType).kind !== 'image') return;
    await copyOne(manifest);
    const { hasSubject } = await target.putManifest(manifest.digest, manifest, signal);
    if (!hasSubject) unlisted.push(descriptor);
  };
  const attached = listed.length === 0 ? [] : await readList(target, digest, signal);
  const missing = listed.filter((each) => !attached.some((held) => held.digest === each.digest));
  const steps = [
    ...tagged.map((each) => () => copyTagged(each)),
    ...missing.map((each) => () => copyListed(each)),
    () => addToFallback(referrersTag(digest), unlisted, copy),
  ];
  for (const step of steps) {
    await step().catch((error: unknown) => failed.push(error));
    signal.throwIfAborted();
  }
  if (failed.length > 0) throw failed[0];
}

async function readList(
  client: RepositoryClient,
  digest: string,
  signal: AbortSignal,
): Promise<Descriptors> {
  const served =
    (await client.getReferrers(digest, signal)) ??
    (await unlessDenied(client.getManifest(referrersTag(digest), signal)));
  return served === undefined ? [] : parseIndex(served);
}

/** In a readable repository, some registries send 403 for a tag that does not exist. */
async function unlessDenied<Found>(found: Promise<Found>): Promise<Found | undefined> {
  try {
    return await found;
  } catch (error) {
    if (isFailureOf('source', error, ['DENIED'])) return undefined;
    throw error;
  }
}

/** Without the referrers API, clients maintain the list (distribution-spec "Referrers Tag Schema"). */
async function addToFallback(
  tag: string,
  added: Descriptors,
  { target, signal }: ImageCopy,
): Promise<void> {
  if (added.length === 0) return;
  const current = await target.getManifest(tag, signal);
  const listed = current === undefined ? [] : parseIndex(current);
  const missing = added.filter(({ digest }) => !listed.some((entry) => entry.digest === digest));
  if (missing.length === 0) return;
  const index = { schemaVersion: 2, mediaType: indexType, manifests: [...listed, ...missing] };
  const bytes = new TextEncoder().encode(JSON.stringify(index));
  await target.putManifest(tag, { bytes, mediaType: indexType, digest: digestOf(bytes) }, signal);
}

function parseIndex({ bytes, mediaType }: ServedManifest): Descriptors {
  const { manifests } = v.parse(indexSchema, JSON.parse(new TextDecoder().decode(bytes)));
  if (manifests.length > 0) parseManifest(bytes, mediaType);
  return manifests;
}
