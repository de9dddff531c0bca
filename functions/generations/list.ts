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
import { formatTable } from '../shared/terminal/format-table.ts';
import { type Backup, shortenDigest, toBackupTag } from './backup.ts';

/** The generations of one tag of the backup. */
export interface GenerationList {
  /** The tag in the backup. */
  readonly image: string;
  /** What the tag holds; absent if there is no tag. */
  readonly holds?: string;
  /** The newest first. */
  readonly generations: readonly ListedGeneration[];
  /** The digest of a rollback that was interrupted. */
  readonly unfinishedRollback?: string;
}

interface ListedGeneration extends Generation {
  /** Absent if the manifest is gone, although a tag names it. */
  readonly manifest?: Pick<BackupManifest, 'bytes' | 'platforms'>;
}

const headers = ['DIGEST', 'STATE', 'SINCE', 'SIZE', 'PLATFORMS', 'TAGS'];

export async function readGenerations(
  backup: Backup,
  image: string,
  signal: AbortSignal,
): Promise<GenerationList> {
  const target = toBackupTag(image, backup.location);
  const repository = await backup.registry.repository(target, signal);
  const holdings = await readHoldings(repository, signal);
  const tag = await findListedTag(repository, target.tag, holdings, signal);
  const holds = holdings.get(tag);
  const held = toHold(holdings.get(holdTag(tag)));
  return {
    image: formatReference(target),
    ...(holds !== undefined && { holds }),
    generations: await mapConcurrently(
      generationsOf(tag, holdings),
      maxConcurrentRequests,
      async (generation) => {
        const manifest = await repository.read(generation.digest, signal);
        return manifest === undefined ? generation : { ...generation, manifest };
      },
    ),
    ...(held !== undefined && held !== holds && { unfinishedRollback: held }),
  };
}

/** @param asked the image as the user named it */
export function formatGenerations(list: GenerationList, asked: string): readonly string[] {
  const { image, holds, generations, unfinishedRollback: held } = list;
  const isForeign = holds !== undefined && !generations.some(({ digest }) => digest === holds);
  const head = [
    image,
    ...(isForeign ? [`holds ${holds}, which was not written by image-cloner`] : []),
  ];
  if (generations.length === 0) return [...head, `the backup has no generation of ${asked}`];
  const current = generations.find(({ isCurrent }) => isCurrent);
  const isBehind = holds !== undefined && current !== undefined && current.digest !== holds;
  return [
    ...head,
    ...formatTable([headers, ...generations.map((each) => toRow(each, holds))]),
    ...(isBehind
      ? [
          `the tag still holds ${shortenDigest(holds)} and was not moved to ${shortenDigest(current.digest)}: the registry does not let it move, or the copy was interrupted`,
        ]
      : []),
    ...(held === undefined
      ? []
      : [
          `a rollback is not finished: "just rollback ${asked} ${shortenDigest(held)}" finishes it, "just rollback ${asked} --release" cancels it`,
        ]),
    ...toNextStep(generations, asked),
  ];
}

/** The document of `--json`. */
export function toGenerationsDocument({ generations, ...list }: GenerationList): object {
  return {
    ...list,
    generations: generations.map(({ digest, isCurrent, isHeld, since, tags, manifest }) => ({
      digest,
      isCurrent,
      isHeld,
      isGone: manifest === undefined,
      ...(since !== undefined && { since: new Date(since).toISOString() }),
      ...(manifest?.bytes !== undefined && { bytes: manifest.bytes }),
      platforms: manifest?.platforms ?? [],
      tags: tags.toSorted(),
    })),
  };
}

function toNextStep(generations: readonly Generation[], asked: string): readonly string[] {
  const count = generations.length;
  const summary = count === 1 ? '1 generation' : `${count} generations`;
  if (generations.some(({ isHeld }) => isHeld)) {
    return [`${summary}; to follow the source again: image-cloner rollback ${asked} --release`];
  }
  const older = generations.find(({ isCurrent }) => !isCurrent);
  return older === undefined
    ? [summary]
    : [`${summary}; to go back: image-cloner rollback ${asked} ${shortenDigest(older.digest)}`];
}

function toRow(
  { digest, isCurrent, isHeld, since, tags, manifest }: ListedGeneration,
  holds: string | undefined,
): readonly string[] {
  const state = [
    ...(isCurrent ? ['current'] : digest === holds ? ['in the tag'] : []),
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
