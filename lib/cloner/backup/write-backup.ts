import { CloneError } from '../../errors.ts';
import { formatReference, type Reference } from '../../image/reference.ts';
import { generationTag } from '../../image/tags.ts';
import type { CopiedImage, CopyPlan, CopyProgress, CopyRequest } from '../../ports/index.ts';
import { type Backoff, retry } from '../../util/backoff.ts';
import type { CopyResult } from '../queue/index.ts';
import type { CheckedSource } from '../source/index.ts';
import { assertGenerationFree, canTakePlainTag, chooseTags } from './choose-tags.ts';
import { findHold, holdWarning } from './hold.ts';
import { type ImmutableTags, immutableWarning, isImmovable } from './immutable-tags.ts';
import { firstTagOf, planWhole } from './plan-copy.ts';
import type { BackupQuery, BackupState } from './read-backup.ts';

/** One tag in the backup, and how to write it. */
export interface BackupWrite extends BackupQuery {
  readonly adoptExisting: boolean;
  readonly onProgress: (progress: CopyProgress) => void;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
  readonly backoff: Backoff;
  readonly immutableTags: ImmutableTags;
}

const maxTagAttempts = 5;

/**
 * Copies a source into the backup. The generation tag is written before the plain tag moves, so that the previous digest stays
 * reachable and a process that is killed in between has moved nothing.
 */
export async function writeBackup(
  write: BackupWrite,
  source: Reference,
  checked: CheckedSource,
  state: BackupState,
  plan: CopyPlan,
): Promise<CopyResult> {
  const { backup, signal } = write;
  const { digest, access } = checked;
  const isAdopted = state.digest !== undefined && !state.isOurs && state.unclear === undefined;
  if (isAdopted) await tagGeneration(write, state.digest);
  const firstTag = firstTagOf(write, digest, plan);
  if (firstTag === generationTag(backup.tag, digest)) await assertGenerationFree(write, digest);
  const movesPlainTag = await canTakePlainTag(write, source, checked);
  const choice = { ...write, source, checked, state, movesPlainTag, firstTag };
  const image = {
    source: { ...source, digest },
    sourceAccess: access,
    mayShareLayers: checked.openedBy !== 'workload',
    plan,
  };
  let unclear: CloneError | undefined;
  let refusal: CloneError | undefined;
  const copied = await copyContent(write, image, async (content, attempt) => {
    const { tags, adopted, ...chosen } = await chooseTags(choice, content.digest);
    unclear = chosen.unclear;
    // One repetition; the tag may stay unclear for as long as the registry is up.
    if (unclear?.isTransient === true && attempt === 1) throw unclear;
    if (adopted !== undefined) await tagGeneration(write, adopted);
    const others = tags.filter((tag) => tag !== backup.tag);
    await content.writeTags(others, signal);
    if (!tags.includes(backup.tag)) return;
    try {
      await content.writeTags([backup.tag], signal);
    } catch (error) {
      // Every tag before this one was accepted, so the tag itself is immutable.
      if (!isImmovable(error)) throw error;
      // The object names the digest, and a fall back uses the generation tag.
      if (source.digest !== undefined) return;
      if (!chosen.isMove) throw error;
      refusal = error;
    }
  });
  if (refusal !== undefined) {
    write.immutableTags.note(backup);
    return pinned(copied, immutableWarning(source, refusal));
  }
  const held = movesPlainTag && unclear === undefined ? await findHold(write) : unclear;
  if (held === undefined) return copied;
  if (held instanceof CloneError) return pinned(copied, unclearWarning(source, held));
  // A rollback writes the hold before it moves the tag, so the last writer of the tag always sees the hold.
  if (held !== copied.digest) await tagGeneration(write, held, [backup.tag]);
  return { ...copied, digest: held, warnings: [...copied.warnings, holdWarning(source, held)] };
}

/** Copies again the parts of an image that the backup has lost. The plain tag does not move. */
export async function repairBackup(
  write: BackupWrite,
  source: Reference,
  { digest, access }: CheckedSource,
  plan: CopyPlan,
): Promise<CopyResult> {
  const image = { source: { ...source, digest }, sourceAccess: access, plan, isRepair: true };
  return await copyContent(write, image);
}

/** Writes the generation tag of a digest in the backup, and then the tags `more`. */
export async function tagGeneration(
  write: BackupWrite,
  digest: string,
  more: readonly string[] = [],
): Promise<CopyResult> {
  const { access, signal } = write;
  const { domain, path, tag } = write.backup;
  await assertGenerationFree(write, digest);
  const plan = planWhole(write, digest);
  const image = { source: { domain, path, digest }, sourceAccess: access, plan };
  const copied = await copyContent(write, image, async (content) => {
    if (content.digest !== digest) {
      throw new CloneError(
        'BACKUP_GENERATION_LOST',
        `${formatReference({ domain, path, tag })} in the backup cannot be kept: the docker daemon would push it with another digest`,
      );
    }
    const generation = generationTag(tag, digest);
    const isWritten = generation === firstTagOf(write, digest, plan);
    await content.writeTags([...(isWritten ? [] : [generation]), ...more], signal);
  });
  return { ...copied, bytes: 0 };
}

/**
 * Copies under the first tag, and runs `finish` while more tags can be written. After a transient
 * failure `finish` runs and chooses the tags again, because another process may have moved the plain tag in between.
 */
async function copyContent(
  write: BackupWrite,
  image: Pick<CopyRequest, 'source' | 'sourceAccess' | 'isRepair' | 'mayShareLayers'> & {
    readonly plan: CopyPlan;
  },
  finish?: (content: CopiedImage, attempt: number) => Promise<void>,
): Promise<CopyResult> {
  const { cloner, backup, access, signal, onProgress, backoff } = write;
  const firstTag = firstTagOf(write, image.source.digest, image.plan);
  const request = { ...image, target: backup, targetAccess: access, firstTag };
  const content = await cloner.copy(request, signal, onProgress);
  try {
    const retryOptions = { maxAttempts: maxTagAttempts, backoff, signal, isTransient };
    await retry(retryOptions, async (attempt) => await finish?.(content, attempt));
    const { digest, bytes, warnings } = content;
    return { digest, bytes, warnings };
  } finally {
    await content.release();
  }
}

function pinned(copied: CopyResult, warning: string): CopyResult {
  return { ...copied, isPinned: true, warnings: [...copied.warnings, warning] };
}

export function unclearWarning(source: Reference, { message }: CloneError): string {
  return `${formatReference(source)} is pinned to its digest: ${message}`;
}

function isTransient(error: unknown): boolean {
  return error instanceof CloneError && error.isTransient;
}
