import { CloneError } from '../errors.ts';
import { generationTag, holdTag } from '../image/tags.ts';
import type { BackupRepository } from '../ports/index.ts';
import { mapConcurrently } from '../util/semaphore.ts';
import { type Holdings, maxConcurrentRequests, readHoldings } from './generations.ts';
import { readImageTree } from './image-tree.ts';

/** One generation to remove. */
export interface Removal {
  readonly digest: string;
  /** Tags whose generation it is. */
  readonly of: readonly string[];
  /** Manifests that are removed with it: no other image has them. */
  readonly parts: readonly string[];
  /** What the repository held when the removal was planned. */
  readonly before: Holdings;
}

/**
 * Whether a tag or a new image needs any of it by now: planning takes seconds, and a copy or a rollback may have used it meanwhile. A
 * copy begins with a tag that did not exist.
 */
export async function isNeededNow(
  repository: BackupRepository,
  removal: Removal,
  signal: AbortSignal,
): Promise<boolean> {
  const { of, before } = removal;
  const appeared = (await repository.tags(signal)).filter((tag) => !before.has(tag));
  const candidates = new Set([...of.flatMap((tag) => [tag, holdTag(tag)]), ...appeared]);
  const held = await mapConcurrently([...candidates], maxConcurrentRequests, (tag) =>
    repository.resolve(tag, signal),
  );
  const below = await readNewImages(repository, removal, held, signal);
  return [removal.digest, ...removal.parts].some((digest) => below.manifests.has(digest));
}

/**
 * Removes the manifests, and restores those that a concurrent copy needs, because registries have no locks and a copy writes
 * children before its tag. Resolves with `false` if the generation was restored.
 */
export async function remove(
  repository: BackupRepository,
  removal: Removal,
  signal: AbortSignal,
): Promise<boolean> {
  const { digest, of, parts } = removal;
  const restores: (() => Promise<void>)[] = [];
  // The root comes first, so that a process that is killed in between leaves no incomplete image; restored in the reverse
  // order.
  for (const manifest of [digest, ...parts])
    restores.unshift(await repository.remove(manifest, signal));
  const after = await readHoldings(repository, signal);
  await restoreTags(repository, removal, after, signal);

  const { missing } = await readNewImages(repository, removal, [...after.values()], signal);
  const isRootNeeded = missing.has(digest);
  const needed = parts.some((part) => missing.has(part)) ? restores.slice(0, -1) : [];
  for (const put of isRootNeeded ? restores : needed) await put();
  const holders = of.filter(
    (tag) => isRootNeeded || [tag, holdTag(tag)].some((name) => after.get(name) === digest),
  );
  for (const tag of holders) await repository.tag(digest, generationTag(tag, digest), signal);
  return holders.length === 0;
}

/** Some registries remove more than the digest, and a tag that has just moved to it is gone too. */
async function restoreTags(
  repository: BackupRepository,
  { digest, before }: Removal,
  after: Holdings,
  signal: AbortSignal,
): Promise<void> {
  const lost = [...before].filter(([tag, held]) => held !== digest && !after.has(tag));
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
