import { CloneError, isFailureOf } from '../../errors.ts';
import { formatReference, type Reference } from '../../image/reference.ts';
import { generationTag, isGenerationTag, moveTag, provenanceTag } from '../../image/tags.ts';
import type { CheckedSource } from '../source/index.ts';
import { findHold } from './hold.ts';
import { findUnfinishedMove } from './immutable-tags.ts';
import {
  type BackupQuery,
  type BackupState,
  isCopyOf,
  isGeneration,
  listTags,
  readTag,
} from './read-backup.ts';
import { claimSpelling } from './tag-case.ts';

/** What is read here decides whether a tag is overwritten. */
const final = { isFinal: true };

/** A copy whose content is in the backup and whose tags are not chosen yet. */
interface TagChoice extends BackupQuery {
  readonly source: Reference;
  readonly checked: CheckedSource;
  /** The state of the tag before the copy. */
  readonly state: BackupState;
  /** Whether the plain tag should move. */
  readonly movesPlainTag: boolean;
  /** Written with the content. */
  readonly firstTag: string;
  readonly adoptExisting: boolean;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
}

interface ChosenTags {
  /** In the order of writing; the plain tag, if it moves, is the last. */
  readonly tags: readonly string[];
  /** Whether the plain tag moves away from another digest. */
  readonly isMove?: boolean;
  /** A digest that another tool wrote and that is about to lose the plain tag; it needs a generation tag first. */
  readonly adopted?: string;
  /** The plain tag stays where it is, because the backup does not say what it, or the hold, is. */
  readonly unclear?: CloneError;
}

/**
 * Chooses the tags of a copy with `digest` right before they are written, because the source, a rollback or another process may
 * have moved the plain tag during the copy. See lib/decisions/0001-tag-scheme-and-generations.md.
 */
export async function chooseTags(choice: TagChoice, digest: string): Promise<ChosenTags> {
  const { backup, state, checked, source, movesPlainTag, wallClock } = choice;
  const { tag } = backup;
  const generation = await chooseGeneration(choice, digest);
  if (!movesPlainTag) return { tags: generation };
  const hold = await findHold(choice, final);
  if (hold instanceof CloneError) return { tags: generation, unclear: hold };
  if (hold !== undefined) return { tags: generation };
  const from = await readTag(choice, tag, final);
  if (from instanceof CloneError) return { tags: generation, unclear: from };
  if (from === digest) return { tags: [...generation, tag] };
  const names = from === undefined && tag === tag.toLowerCase() ? [] : await listTags(choice);
  await claimSpelling(choice, names, { exists: from !== undefined });
  if (from === undefined) return { tags: [...generation, tag] };
  // A copy that was interrupted, or not allowed to move the tag, has recorded this move already.
  const isRecorded = (await findUnfinishedMove(choice, from, names)) === digest;
  const record = isRecorded ? [] : [moveTag(tag, { at: wallClock(), from })];
  const moved = { tags: [...generation, ...record, tag], isMove: true };
  const isAsBefore = from === state.digest && state.unclear === undefined;
  if (isAsBefore && checked.isRemembered !== true) {
    return (await hasSourceReturned(choice, from)) ? { tags: generation } : moved;
  }
  // Another process has moved the tag since the source was checked, perhaps to this very image.
  if (source.digest !== undefined || from === checked.digest) return { tags: generation };
  const isOurs = await isGeneration(choice, from, final);
  if (isOurs instanceof CloneError) return { tags: generation, unclear: isOurs };
  assertMovable(backup, { digest: from, isOurs }, choice.adoptExisting);
  if (!isOurs) return { ...moved, adopted: from };
  // The other process most likely checked the source later, and a slow copy must not move the tag back.
  return (await readSourceAgain(choice)) === checked.digest ? moved : { tags: generation };
}

/**
 * The generation tag, and the tag of the source's own digest, by which a later selection of platforms finds this copy if the
 * source is gone. Without those that the registry has already.
 */
async function chooseGeneration(choice: TagChoice, digest: string): Promise<readonly string[]> {
  const { backup, checked, firstTag } = choice;
  const generation = generationTag(backup.tag, digest);
  if (generation === firstTag) return [];
  const origin = provenanceTag(backup.tag, checked.digest);
  const [recorded] = await Promise.all([
    origin === firstTag ? digest : readTag(choice, origin),
    assertGenerationFree(choice, digest),
  ]);
  return recorded === undefined ? [generation, origin] : [generation];
}

/** Whether a pinned source gets the plain tag: only if there is none and the source's own tag resolves to that digest. */
export async function canTakePlainTag(
  query: BackupQuery,
  source: Reference,
  { access, digest }: CheckedSource,
): Promise<boolean> {
  if (source.digest === undefined) return true;
  if ((await readTag(query, query.backup.tag)) !== undefined) return false;
  if ((await findHold(query)) !== undefined) return false;
  const { domain, path, tag } = source;
  if (tag === undefined) return true;
  return (
    (await query.cloner.resolve({ domain, path, tag }, access, query.signal))?.digest === digest
  );
}

/** Throws if another tool wrote the tag and adoption is off, or if the tag is the generation tag of another tag. */
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
      `${name} in the backup keeps an older generation of another tag: it is not overwritten`,
    );
  }
  if (!state.isOurs && !adoptExisting) {
    throw new CloneError(
      'BACKUP_NOT_OURS',
      `${name} exists in the backup and was not written by image-cloner: give the backups a namespace of their own (REGISTRY_NAMESPACE) or set ADOPT_EXISTING=true`,
    );
  }
}

/** Throws if the generation tag holds another digest with the same first 12 digits; such a pair can be made on purpose. */
export async function assertGenerationFree(query: BackupQuery, digest: string): Promise<void> {
  const { domain, path, tag } = query.backup;
  const generation = generationTag(tag, digest);
  const kept = await readTag(query, generation);
  if (kept === undefined || kept === digest || kept instanceof CloneError) return;
  throw new CloneError(
    'BACKUP_GENERATION_LOST',
    `${formatReference({ domain, path, tag: generation })} in the backup keeps another image, whose digest has the same first digits: it is not overwritten`,
  );
}

/**
 * Whether the source returned, during the copy, to the digest that the tag holds. Reviews since then had nothing to copy, so
 * none of them would move the tag back.
 */
async function hasSourceReturned(choice: TagChoice, held: string): Promise<boolean> {
  const now = await readSourceAgain(choice);
  return now !== undefined && now !== choice.checked.digest && (await isCopyOf(choice, held, now));
}

/** The digest of the source's tag now; `undefined` if the tag is gone or the source gives no clear answer. */
async function readSourceAgain({
  cloner,
  signal,
  source: { domain, path, tag },
  checked: { access },
}: TagChoice): Promise<string | undefined> {
  try {
    const image = { domain, path, ...(tag !== undefined && { tag }) };
    return (await cloner.resolve(image, access, signal, { isFresh: true }))?.digest;
  } catch (error) {
    signal.throwIfAborted();
    if (isFailureOf('source', error)) return undefined;
    throw error;
  }
}
