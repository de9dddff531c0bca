import { toHold } from '../../lib/cloner/backup/index.ts';
import {
  findListedTag,
  type Generation,
  generationsOf,
  maxConcurrentRequests,
  readHoldings,
} from '../../lib/generations/index.ts';
import { formatReference } from '../../lib/image/reference.ts';
import { holdTag } from '../../lib/image/tags.ts';
import type { BackupManifest } from '../../lib/index.ts';
import { formatBytes } from '../../lib/util/quantity.ts';
import { mapConcurrently } from '../../lib/util/semaphore.ts';
import { formatTable } from '../shared/format-table.ts';
import { type Backup, shortenDigest, toBackupTag } from './backup.ts';

const headers = ['DIGEST', 'STATE', 'SINCE', 'SIZE', 'PLATFORMS', 'TAGS'];

/** Prints the generations of an image. Resolves with `false` if the backup has none. */
export async function listGenerations(
  backup: Backup,
  image: string,
  print: (line: string) => void,
  signal: AbortSignal,
): Promise<boolean> {
  const target = toBackupTag(image, backup.location);
  const repository = await backup.registry.repository(target, signal);
  const holdings = await readHoldings(repository, signal);
  const tag = await findListedTag(repository, target.tag, holdings, signal);
  const generations = generationsOf(tag, holdings);
  const plain = holdings.get(tag);
  const isForeign = plain !== undefined && !generations.some(({ digest }) => digest === plain);
  print(formatReference(target));
  if (isForeign) print(`holds ${plain}, which was not written by image-cloner`);
  if (generations.length === 0) {
    print(`the backup has no generation of ${image}`);
    return false;
  }
  const rows = await mapConcurrently(generations, maxConcurrentRequests, async (generation) =>
    toRow(generation, plain, await repository.read(generation.digest, signal)),
  );
  for (const line of formatTable([headers, ...rows])) print(line);
  const current = generations.find(({ isCurrent }) => isCurrent);
  if (plain !== undefined && current !== undefined && current.digest !== plain) {
    print(
      `the tag still holds ${shortenDigest(plain)} and was not moved to ${shortenDigest(current.digest)}: the registry does not let it move, or the copy was interrupted`,
    );
  }
  const held = toHold(holdings.get(holdTag(tag)));
  if (held !== undefined && held !== plain) {
    print(
      `a rollback is not finished: "just rollback ${image} ${shortenDigest(held)}" finishes it, "just rollback ${image} --release" cancels it`,
    );
  }
  return true;
}

function toRow(
  { digest, isCurrent, isHeld, since, tags }: Generation,
  plain: string | undefined,
  manifest: BackupManifest | undefined,
): readonly string[] {
  const state = [
    ...(isCurrent ? ['current'] : digest === plain ? ['in the tag'] : []),
    ...(isHeld ? ['held'] : []),
  ];
  const { bytes, platforms = [] } = manifest ?? {};
  return [
    shortenDigest(digest),
    state.join(', '),
    since === undefined ? '' : formatTime(since),
    manifest === undefined ? 'gone' : bytes === undefined ? '' : formatBytes(bytes),
    platforms.join(','),
    tags.toSorted().join(' '),
  ];
}

/** `2026-11-25 03:34 UTC`. */
function formatTime(at: number): string {
  return `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
