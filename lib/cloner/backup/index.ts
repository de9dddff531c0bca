/**
 * Reads and writes one tag of the backup: generations, holds, private marks, integrity.
 * A tag that image-cloner did not write is never moved, and no generation is lost.
 */
export { assertMovable } from './choose-tags.ts';
export { createGuardBackup, type GuardBackup } from './guard-backup.ts';
export { findHold, holdWarning, isPassable, released, toHold, unfinishedWarning } from './hold.ts';
export { createImmutableTags, findNewerGeneration, type ImmutableTags } from './immutable-tags.ts';
export {
  createIntegrityCheck,
  type IntegrityCheck,
  type IntegrityCheckDeps,
} from './integrity-check.ts';
export { planCopy, planWhole } from './plan-copy.ts';
export { createPrivateCopies, type PrivateCopies } from './private-copies.ts';
export {
  type BackupQuery,
  type BackupState,
  findCopy,
  findGeneration,
  isCopyOf,
  listTags,
  readBackup,
  readNamed,
} from './read-backup.ts';
export { createReferrers, type Referrers } from './referrers.ts';
export { spellingOf } from './tag-case.ts';
export {
  type BackupWrite,
  repairBackup,
  tagGeneration,
  unclearWarning,
  writeBackup,
} from './write-backup.ts';
