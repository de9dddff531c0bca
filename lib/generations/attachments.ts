import { CloneError } from '../errors.ts';
import { cosignTags, referrersTag } from '../image/tags.ts';
import type { BackupManifest, BackupRepository } from '../ports/index.ts';
import { mapConcurrently } from '../util/semaphore.ts';
import { type Holdings, maxConcurrentRequests } from './generations.ts';

/** A signature, attestation, SBOM or other manifest that only describes an image, or an index of these. */
export interface Attachment {
  readonly digest: string;
  /** The digest of the manifest that it describes. */
  readonly subject: string;
  /** Whether it is the index that stands in for the referrers API (distribution-spec "Referrers Tag Schema"). */
  readonly isIndex: boolean;
}

const attachmentTag = /^sha\d+-[0-9a-f]{64,128}(\.(sig|att|sbom))?$/;
/** Limits the requests for an image whose registry or source lists many; what is beyond it stays. */
const maxAttachments = 1_000;

/** Whether a tag has the name of cosign's tags or of a referrers index. */
export function isAttachmentTag(tag: string): boolean {
  return attachmentTag.test(tag);
}

/** The tags that attach something to a manifest; the first one is that of its referrers index. */
export function attachmentTagsOf(digest: string): readonly [index: string, ...cosign: string[]] {
  return [referrersTag(digest), ...cosignTags(digest)];
}

/**
 * Finds what is attached to `subjects`, and what is attached to that; each index comes after what it lists. A manifest counts
 * only if its `subject`, or else its only tag, names one of them, and if `isNeeded`, given their tags `own`, finds no other use.
 */
export async function findAttachments(
  repository: BackupRepository,
  holdings: Holdings,
  subjects: readonly string[],
  isNeeded: (digest: string, own: ReadonlySet<string>) => boolean,
  signal: AbortSignal,
): Promise<readonly Attachment[]> {
  const found = new Map<string, Attachment>();
  const own = new Set<string>();
  let next = subjects;
  while (next.length > 0 && found.size < maxAttachments) {
    for (const tag of next.flatMap(attachmentTagsOf)) own.add(tag);
    const isFree = (digest: string): boolean =>
      !subjects.includes(digest) && !isNeeded(digest, own);
    const attached = await mapConcurrently(next, maxConcurrentRequests, (subject) =>
      readAttachments(repository, holdings, subject, isFree, signal),
    );
    const fresh = attached.flat().filter(({ digest }) => !found.has(digest));
    for (const attachment of fresh) found.set(attachment.digest, attachment);
    next = [...new Set(fresh.map(({ digest }) => digest))];
  }
  return [...found.values()];
}

async function readAttachments(
  repository: BackupRepository,
  holdings: Holdings,
  subject: string,
  isFree: (digest: string) => boolean,
  signal: AbortSignal,
): Promise<readonly Attachment[]> {
  const [indexTag, ...cosignTags] = attachmentTagsOf(subject);
  const tagged = cosignTags.flatMap((tag) => holdings.get(tag) ?? []);
  const index = holdings.get(indexTag);
  const listing = index === undefined ? undefined : await read(repository, index, signal);
  const listed = listing?.children ?? [];
  const referrers = await repository.referrers(subject, signal);
  const found: Attachment[] = [];
  const candidates = [...new Set([...tagged, ...listed, ...referrers])];
  for (const digest of candidates.slice(0, maxAttachments)) {
    const manifest = isFree(digest) ? await read(repository, digest, signal) : undefined;
    if (manifest !== undefined && describes(manifest, subject, tagged.includes(digest))) {
      found.push({ digest, subject, isIndex: false });
    }
  }
  const isIndex = listing !== undefined && listing.bytes === undefined;
  const isEmptied = listed.every((digest) => found.some((each) => each.digest === digest));
  if (index !== undefined && isIndex && isEmptied && isFree(index)) {
    found.push({ digest: index, subject, isIndex: true });
  }
  return found;
}

/** Whether a manifest has no other purpose. Cosign's do not name their subject, but their tag does. */
function describes(manifest: BackupManifest, subject: string, isTagged: boolean): boolean {
  if (manifest.children.length > 0) return false;
  return manifest.subject === subject || (isTagged && manifest.subject === undefined);
}

/** A manifest of a format that is no image counts as absent, so it stays. */
async function read(
  repository: BackupRepository,
  digest: string,
  signal: AbortSignal,
): Promise<BackupManifest | undefined> {
  try {
    return await repository.read(digest, signal);
  } catch (error) {
    if (error instanceof CloneError && error.code === 'BACKUP_UNSUPPORTED') return undefined;
    throw error;
  }
}
