import { CloneError } from '../errors.ts';
import { generationTag, holdTag } from '../image/tags.ts';
import type { BackupRepository } from '../ports/index.ts';
import { mapConcurrently } from '../util/semaphore.ts';
import { type Holdings, maxConcurrentRequests, readHoldings } from './generations.ts';
import { readImageTree } from './image-tree.ts';

/** One generation that goes. */
export interface Removal {
  readonly digest: string;
  /** Tags whose generation it is. */
  readonly of: readonly string[];
  /** With it go parts that nothing else has. */
  readonly parts: readonly string[];
  /** What the repository held when that was judged. */
  readonly before: Holdings;
}

/**
 * Whether somebody needs any of it by now: all the reading takes seconds, and a source or a person may just have gone back to it, or
 * have made it a part of something new. A copy begins with a tag that was not there.
 */
export async function isTakenUp(
  repository: BackupRepository,
  removal: Removal,
  signal: AbortSignal,
): Promise<boolean> {
  const { of, before } = removal;
  const appeared = (await repository.tags(signal)).filter((tag) => !before.has(tag));
  const doubtful = new Set([...of.flatMap((tag) => [tag, holdTag(tag)]), ...appeared]);
  const held = await mapConcurrently([...doubtful], maxConcurrentRequests, (tag) =>
    repository.resolve(tag, signal),
  );
  const below = await readNew(repository, removal, held, signal);
  return [removal.digest, ...removal.parts].some((digest) => below.manifests.has(digest));
}

/**
 * Removes it, and looks at what came in the very moment: a copy writes the parts of an image before the tag by which one sees them, and no
 * registry locks anything. The layers are there until its garbage is collected, so that what is needed is put back. Resolves with `false`
 * where the generation is among it.
 */
export async function remove(
  repository: BackupRepository,
  removal: Removal,
  signal: AbortSignal,
): Promise<boolean> {
  const { digest, of, parts } = removal;
  const putBack: (() => Promise<void>)[] = [];
  // The root before its parts: killed in between, no image has lost one. And back in the other order.
  for (const manifest of [digest, ...parts])
    putBack.unshift(await repository.remove(manifest, signal));
  const after = await readHoldings(repository, signal);
  await restoreTags(repository, removal, after, signal);

  const { missing } = await readNew(repository, removal, [...after.values()], signal);
  const isRootNeeded = missing.has(digest);
  const needed = parts.some((part) => missing.has(part)) ? putBack.slice(0, -1) : [];
  for (const put of isRootNeeded ? putBack : needed) await put();
  const holders = of.filter(
    (tag) => isRootNeeded || [tag, holdTag(tag)].some((name) => after.get(name) === digest),
  );
  for (const tag of holders) await repository.tag(digest, generationTag(tag, digest), signal);
  return holders.length === 0;
}

/** By digest, some registries remove what they were not asked to; and a tag that has just moved here is gone as well. */
async function restoreTags(
  repository: BackupRepository,
  { digest, before }: Removal,
  after: Holdings,
  signal: AbortSignal,
): Promise<void> {
  const lost = [...before].filter(([tag, held]) => held !== digest && !after.has(tag));
  if (lost.length === 0) return;
  const names = lost.map(([tag]) => tag).join(', ');
  const message = `with ${digest} the registry removed other tags, too: ${names}; nothing more is removed`;
  try {
    for (const [tag, held] of lost) await repository.tag(held, tag, signal);
  } catch (error) {
    throw new CloneError('BACKUP_REFUSED', message, { cause: error });
  }
  throw new CloneError('BACKUP_REFUSED', `${message}, and they hold again what they held`);
}

/** What is below digests that were not there before, and what of it the registry does not have. */
async function readNew(
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
