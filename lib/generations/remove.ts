import { CloneError } from '../errors.ts';
import { generationTag, holdTag } from '../image/tags.ts';
import type { BackupRepository } from '../ports/index.ts';
import { mapConcurrently } from '../util/semaphore.ts';
import { attachmentTagsOf } from './attachments.ts';
import { type Holdings, maxConcurrentRequests, readHoldings } from './generations.ts';
import { readImageTree } from './image-tree.ts';
import type { Dependents } from './plan-removal.ts';

/** One generation to remove. */
export interface Removal extends Dependents {
  readonly digest: string;
  /** Tags whose generation it is. */
  readonly of: readonly string[];
  /** What the repository held when the removal was planned. */
  readonly before: Holdings;
}

/**
 * `changed`: the generation stays, because it is in use by now. `still-tagged`: the registry reported no error, but its tags still
 * hold the generation.
 */
export type RemovalResult =
  | { readonly status: 'removed'; readonly attachmentCount: number }
  | { readonly status: 'changed' | 'still-tagged' };

/**
 * Whether a tag or a new image needs any of it by now: planning takes seconds, and a copy, a rollback or another tool may have used
 * it meanwhile. A tag that vanished meanwhile may be one that a replica of the registry does not have yet.
 */
export async function isNeededNow(
  repository: BackupRepository,
  removal: Removal,
  signal: AbortSignal,
): Promise<boolean> {
  const { before } = removal;
  const now = await readHoldings(repository, signal);
  if ([...before.keys()].some((tag) => !now.has(tag))) return true;
  const changed = [...now].filter(([tag, held]) => before.get(tag) !== held);
  const held = changed.map(([, digest]) => digest);
  const below = await readNewImages(repository, removal, held, signal);
  return [removal.digest, ...removal.parts].some((digest) => below.manifests.has(digest));
}

/**
 * Removes the manifests, and restores those that a concurrent copy needs, because registries have no locks and a copy writes
 * children before its tag.
 */
export async function remove(
  repository: BackupRepository,
  removal: Removal,
  signal: AbortSignal,
): Promise<RemovalResult> {
  const { digest, of, parts, attachments, before } = removal;
  // The root comes first, so that a process that is killed in between leaves no incomplete image; restored in the reverse
  // order.
  const restores = [await repository.remove(digest, signal)];
  const isStillTagged = await isTagged(repository, removal, signal);
  for (const part of isStillTagged ? [] : parts) {
    restores.unshift(await repository.remove(part, signal));
  }
  const after = await readHoldings(repository, signal);
  // Some registries remove what is attached to a manifest together with it.
  const expected = withoutDigests(before, [digest, ...attachments.map((each) => each.digest)]);
  await restoreTags(repository, digest, expected, after, signal);

  const held = [...after.values()];
  const { manifests, missing } = await readNewImages(repository, removal, held, signal);
  const isRootNeeded = missing.has(digest);
  const needed = parts.some((part) => missing.has(part)) ? restores.slice(0, -1) : [];
  for (const put of isRootNeeded ? restores : needed) await put();
  const users = of.filter((tag) => [tag, holdTag(tag)].some((name) => after.get(name) === digest));
  for (const tag of isRootNeeded ? of : users) {
    await repository.tag(digest, generationTag(tag, digest), signal);
  }
  if (users.length > 0 || (isRootNeeded && !isStillTagged)) return { status: 'changed' };
  if (isStillTagged) return { status: 'still-tagged' };
  return await removeAttachments(repository, removal, { holdings: after, manifests }, signal);
}

/** Removes what was attached to the manifests that are gone; what another tag or image needs by now stays. */
async function removeAttachments(
  repository: BackupRepository,
  removal: Removal,
  after: { readonly holdings: Holdings; readonly manifests: ReadonlySet<string> },
  signal: AbortSignal,
): Promise<RemovalResult> {
  const { digest, attachments } = removal;
  const own = new Set(attachments.flatMap(({ subject }) => attachmentTagsOf(subject)));
  const removed = new Map<string, () => Promise<void>>();
  let attachmentCount = 0;
  for (const attachment of attachments) {
    const holders = [...after.holdings].filter(([, held]) => held === attachment.digest);
    if (holders.some(([tag]) => !own.has(tag)) || after.manifests.has(attachment.digest)) continue;
    if ((await repository.resolve(attachment.subject, signal)) !== undefined) continue;
    removed.set(attachment.digest, await repository.remove(attachment.digest, signal));
    if (!attachment.isIndex) attachmentCount += 1;
  }
  if (removed.size > 0) {
    const expected = withoutDigests(after.holdings, [...removed.keys()]);
    const last = await readHoldings(repository, signal);
    await restoreTags(repository, digest, expected, last, signal);
    const { missing } = await readNewImages(repository, removal, [...last.values()], signal);
    for (const [each, restore] of removed) if (missing.has(each)) await restore();
  }
  return { status: 'removed', attachmentCount };
}

/** Whether a tag still holds the digest after its removal. */
async function isTagged(
  repository: BackupRepository,
  { digest, before }: Removal,
  signal: AbortSignal,
): Promise<boolean> {
  const tags = [...before].filter(([, held]) => held === digest).map(([tag]) => tag);
  const held = await mapConcurrently(tags, maxConcurrentRequests, (tag) =>
    repository.resolve(tag, signal),
  );
  return held.includes(digest);
}

function withoutDigests(holdings: Holdings, digests: readonly string[]): Holdings {
  return new Map([...holdings].filter(([, held]) => !digests.includes(held)));
}

/** Some registries remove more than the digest, and a tag that has just moved to it is gone too. */
async function restoreTags(
  repository: BackupRepository,
  digest: string,
  expected: Holdings,
  after: Holdings,
  signal: AbortSignal,
): Promise<void> {
  const lost = [...expected].filter(([tag]) => !after.has(tag));
  if (lost.length === 0) return;
  const names = lost.map(([tag]) => tag).join(', ');
  const message = `with ${digest} the registry also removed other tags: ${names}; nothing more is removed`;
  try {
    for (const [tag, held] of lost) await repository.tag(held, tag, signal);
  } catch (error) {
    throw new CloneError('BACKUP_REFUSED', message, { cause: error });
  }
  throw new CloneError('BACKUP_REFUSED', `${message}, and these tags are restored`);
}

/** The manifests below digests that did not exist before, and those of them that the registry lacks. */
async function readNewImages(
  repository: BackupRepository,
  { digest, before }: Removal,
  held: readonly (string | undefined)[],
  signal: AbortSignal,
): Promise<{ readonly manifests: ReadonlySet<string>; readonly missing: ReadonlySet<string> }> {
  const known = new Set(before.values());
  known.delete(digest);
  const roots = new Set(
    held.flatMap((root) => (root === undefined || known.has(root) ? [] : root)),
  );
  const read = await mapConcurrently([...roots], maxConcurrentRequests, (root) =>
    readImageTree(repository, root, signal),
  );
  return {
    manifests: new Set(read.flatMap(({ manifests }) => [...manifests])),
    missing: new Set(read.flatMap(({ missing }) => missing)),
  };
}
