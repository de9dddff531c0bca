import { CloneError, isFailureOf } from '../../errors.ts';
import { formatReference, type Reference } from '../../image/reference.ts';
import { generationTag, isGenerationTag, moveTag, provenanceTag } from '../../image/tags.ts';
import type { CopyProgress, CopyResult } from '../../ports/index.ts';
import type { CheckedSource } from '../source/index.ts';
import { findHold, holdWarning } from './hold.ts';
import { type BackupQuery, type BackupState, holds, isCopyOf, isMarked } from './read-backup.ts';

/** Where to write, and how to tell of it. */
export interface BackupWrite extends BackupQuery {
  readonly adoptExisting: boolean;
  readonly onProgress: (progress: CopyProgress) => void;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
}

/**
 * Copies a source into the backup. Every copy gets its generation tag before the tag that readers look at moves, so that
 * what a tag held before stays reachable; a process killed in between has moved nothing.
 */
export async function writeBackup(
  write: BackupWrite,
  source: Reference,
  checked: CheckedSource,
  state: BackupState,
): Promise<CopyResult> {
  const { cloner, backup, access, adoptExisting, signal, onProgress } = write;
  const { tag } = backup;
  // Adopted: what somebody else's tag holds is kept before the tag becomes ours.
  if (state.digest !== undefined && !state.isOurs) await markBackup(write, state.digest);
  if (cloner.keepsDigest) await assertGenerationFree(write, checked.digest);
  const moves = await movesTag(write, source, checked);
  const copied = await cloner.copy(
    {
      source: { ...source, digest: checked.digest },
      sourceAccess: checked.access,
      target: backup,
      targetAccess: access,
      firstTag: cloner.keepsDigest
        ? generationTag(tag, checked.digest)
        : provenanceTag(tag, checked.digest),
      moreTags: async (digest) => {
        if (!cloner.keepsDigest) await assertGenerationFree(write, digest);
        const generation = cloner.keepsDigest ? [] : [generationTag(tag, digest)];
        // A person may have rolled the tag back while the layers were copied.
        if (!moves || (await findHold(write)) !== undefined) return generation;
        const from = await holds(write, tag);
        const isSeen = from === state.digest && checked.isRemembered !== true;
        // Nothing moves where nothing was.
        if (from === undefined || from === digest) return [...generation, tag];
        if (!isSeen) {
          // Somebody has moved the tag since we asked the source, perhaps to the very image of the source.
          if (source.digest !== undefined || from === checked.digest) return generation;
          const isOurs = await isMarked(write, from);
          assertMovable(backup, { digest: from, isOurs }, adoptExisting);
          if (isOurs && (await isOvertaken(write, source, checked))) return generation;
          if (!isOurs) await markBackup(write, from);
        } else if (await isBackAt(write, source, checked, from)) {
          return generation;
        }
        return [...generation, moveTag(tag, { at: write.wallClock(), from }), tag];
      },
    },
    signal,
    onProgress,
  );
  const held = moves ? await findHold(write) : undefined;
  if (held === undefined) return copied;
  // Held at the last moment: the hold is written before the tag is moved back, so whoever moves it last reads it.
  if (held !== copied.digest) await markBackup(write, held, [tag]);
  const warnings = [...(copied.warnings ?? []), holdWarning(source, held)];
  return { ...copied, digest: held, warnings };
}

/**
 * Whether the source does not hold, or does not say that it still holds, what we copied: then the tag stays where somebody else has
 * moved it meanwhile. That was another process without our Lease, or another review that was quicker, and most likely the
 * source was asked for it after we had asked. A copy that took its time must not move a tag back.
 */
async function isOvertaken(
  write: BackupWrite,
  source: Reference,
  checked: CheckedSource,
): Promise<boolean> {
  return (await askAgain(write, source, checked)) !== checked.digest;
}

/**
 * Whether the source has gone back, while the copy waited and ran, to what the tag has held all along. Whoever asked since then was told that
 * nothing is to be done, and nobody would move the tag back.
 */
async function isBackAt(
  write: BackupWrite,
  source: Reference,
  checked: CheckedSource,
  held: string,
): Promise<boolean> {
  const now = await askAgain(write, source, checked);
  return now !== undefined && now !== checked.digest && (await isCopyOf(write, held, now));
}

/** What the source's tag holds by now; `undefined` where it is gone, or does not say. */
async function askAgain(
  { cloner, signal }: BackupWrite,
  { domain, path, tag }: Reference,
  { access }: CheckedSource,
): Promise<string | undefined> {
  try {
    const image = { domain, path, ...(tag !== undefined && { tag }) };
    return (await cloner.resolve(image, access, signal, { isFresh: true }))?.digest;
  } catch (error) {
    signal.throwIfAborted();
    if (isFailureOf('source', error)) return undefined;
    throw error;
  }
}

/** Copies again what the backup has lost of an image, from where it has just been seen. No tag that readers look at moves. */
export async function mendBackup(
  { cloner, backup, access, signal, onProgress }: BackupWrite,
  source: Reference,
  checked: CheckedSource,
): Promise<CopyResult> {
  const { digest } = checked;
  return await cloner.copy(
    {
      source: { ...source, digest },
      sourceAccess: checked.access,
      isMending: true,
      target: backup,
      targetAccess: access,
      firstTag: generationTag(backup.tag, digest),
      moreTags: () => [],
    },
    signal,
    onProgress,
  );
}

/** Gives what the backup already holds its generation tag, so that it is ours and stays reachable, and then `more`. */
export async function markBackup(
  write: BackupWrite,
  digest: string,
  more: readonly string[] = [],
): Promise<CopyResult> {
  const { cloner, backup, access, signal, onProgress } = write;
  const { domain, path, tag } = backup;
  const generation = generationTag(tag, digest);
  await assertGenerationFree(write, digest);
  const copied = await cloner.copy(
    {
      source: { domain, path, digest },
      sourceAccess: access,
      target: backup,
      targetAccess: access,
      firstTag: cloner.keepsDigest ? generation : provenanceTag(tag, digest),
      moreTags: (pushed) => {
        if (pushed !== digest) {
          throw new CloneError(
            'BACKUP_GENERATION_LOST',
            `${formatReference({ domain, path, tag })} in the backup cannot be kept: the docker daemon would push it with another digest`,
          );
        }
        return cloner.keepsDigest ? more : [generation, ...more];
      },
    },
    signal,
    onProgress,
  );
  return { ...copied, bytes: 0 };
}

/** Throws where another digest that begins alike has the generation tag: whoever makes images can make two of those. */
async function assertGenerationFree(write: BackupWrite, digest: string): Promise<void> {
  const { domain, path, tag } = write.backup;
  const generation = generationTag(tag, digest);
  const kept = await holds(write, generation);
  if (kept === undefined || kept === digest) return;
  throw new CloneError(
    'BACKUP_GENERATION_LOST',
    `${formatReference({ domain, path, tag: generation })} in the backup keeps another image, whose digest begins as that of the new one does; it is not overwritten`,
  );
}

/** Throws where the tag is somebody else's, which is not ours to move unless we are told to, or another tag's generation. */
export function assertMovable(
  { domain, path, tag }: BackupQuery['backup'],
  state: BackupState,
  adoptExisting: boolean,
): void {
  if (state.digest === undefined) return;
  const name = formatReference({ domain, path, tag });
  if (isGenerationTag(tag, state.digest)) {
    throw new CloneError(
      'BACKUP_GENERATION_LOST',
      `${name} in the backup keeps an older generation of another tag and is not overwritten`,
    );
  }
  if (!state.isOurs && !adoptExisting) {
    throw new CloneError(
      'BACKUP_NOT_OURS',
      `${name} exists in the backup but was not written by image-cloner; give the backups a namespace of their own (REGISTRY_NAMESPACE) or set ADOPT_EXISTING=true`,
    );
  }
}

/** A pinned source gets the plain tag only where there is none, and where its own tag is that very digest now. */
async function movesTag(
  write: BackupWrite,
  source: Reference,
  checked: CheckedSource,
): Promise<boolean> {
  if (source.digest === undefined) return true;
  if ((await holds(write, write.backup.tag)) !== undefined) return false;
  if ((await findHold(write)) !== undefined) return false;
  const { domain, path, tag } = source;
  if (tag === undefined) return true;
  const now = await write.cloner.resolve({ domain, path, tag }, checked.access, write.signal);
  return now?.digest === checked.digest;
}
