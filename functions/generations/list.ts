import { toHold } from '../../lib/cloner/backup/index.ts';
import {
  type Generation,
  generationsOf,
  maxConcurrentRequests,
  readHoldings,
} from '../../lib/generations/index.ts';
import { formatReference } from '../../lib/image/reference.ts';
import { holdTag } from '../../lib/image/tags.ts';
import type { BackupManifest } from '../../lib/index.ts';
import { mapConcurrently } from '../../lib/util/semaphore.ts';
import { formatTable } from '../shared/format-table.ts';
import { formatMebibytes } from '../shared/progress-display.ts';
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
  const generations = generationsOf(target.tag, holdings);
  const current = holdings.get(target.tag);
  const isForeign = current !== undefined && !generations.some(({ isCurrent }) => isCurrent);
  print(formatReference(target));
  if (isForeign) print(`holds ${current}, which was not written by image-cloner`);
  if (generations.length === 0) {
    print(`the backup has no generation of ${image}`);
    return false;
  }
  const rows = await mapConcurrently(generations, maxConcurrentRequests, async (generation) =>
    toRow(generation, await repository.read(generation.digest, signal)),
  );
  for (const line of formatTable([headers, ...rows])) print(line);
  const held = toHold(holdings.get(holdTag(target.tag)));
  if (held !== undefined && held !== current) {
    print(
      `a rollback is not finished: "just rollback ${image} ${shortenDigest(held)}" finishes it, "just rollback ${image} --release" cancels it`,
    );
  }
  return true;
}

function toRow(generation: Generation, manifest: BackupManifest | undefined): readonly string[] {
  const { digest, isCurrent, isHeld, since, tags } = generation;
  const state = [...(isCurrent ? ['current'] : []), ...(isHeld ? ['held'] : [])];
  const { bytes, platforms = [] } = manifest ?? {};
  return [
    shortenDigest(digest),
    state.join(', '),
    since === undefined ? '' : formatTime(since),
    manifest === undefined ? 'gone' : bytes === undefined ? '' : `${formatMebibytes(bytes)} MiB`,
    platforms.join(','),
    tags.toSorted().join(' '),
  ];
}

/** `2026-11-25 03:34 UTC`. */
function formatTime(at: number): string {
  return `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
