import { CloneError } from '../../errors.ts';
import { canonicalRepository, formatReference } from '../../image/reference.ts';
import type { ImageCloner, Logger } from '../../ports/index.ts';
import { withDeadline } from '../../util/abort.ts';
import { createBoundedMap } from '../../util/bounded-map.ts';
import { createSemaphore } from '../../util/semaphore.ts';
import type { BackupQuery } from './read-backup.ts';

/**
 * Looks whether what the backup holds is still whole: a registry whose garbage was collected at the wrong time has the manifest of an
 * image and not its layers, which nobody notices before a node pulls.
 */
export interface IntegrityCheck {
  /** Soon after an answer, and seldom for one image: looks, and calls `mend` where something is missing. */
  checkLater(question: BackupQuery, digest: string, mend: () => Promise<unknown>): void;
  /** `false` only where something is known to be missing: whoever cannot be asked in time is trusted. */
  isUsable(question: BackupQuery, digest: string, withinMs: number): Promise<boolean>;
}

export interface IntegrityCheckDeps {
  readonly cloner: ImageCloner;
  readonly logger: Logger;
  readonly now: () => number;
  /** Runs something once nobody waits for it. @default two seconds later, unless the process ends before */
  readonly soon?: ((work: () => Promise<void>) => void) | undefined;
}

/** An image costs a question for each of its layers. */
const lookAgainMs = 10 * 60_000;
const maxRemembered = 10_000;
const soonMs = 2_000;
/** Nobody waits for a look behind an answer. */
const longLookMs = 60_000;
/** Somebody waits for this one. */
const shortLookMs = 2_000;
/** One object may name two hundred images of ten thousand layers each, and a backup that limits would limit everybody. */
const maxLooks = 2;
/** What is beyond that is looked at when it is asked for again. */
const maxPutOff = 100;

export function createIntegrityCheck({
  cloner,
  logger,
  now,
  soon = inAMoment,
}: IntegrityCheckDeps): IntegrityCheck {
  /** When an image was last looked at and found whole, or is going to be looked at. */
  const lookedAt = createBoundedMap<string, number>(maxRemembered);
  const looks = createSemaphore(maxLooks);

  function checkLater(question: BackupQuery, digest: string, mend: () => Promise<unknown>): void {
    const key = toKey(question, digest);
    if (cloner.isComplete === undefined || wasLookedAt(key)) return;
    remember(key);
    soon(async () => {
      try {
        if (looks.waiting() >= maxPutOff) {
          lookedAt.delete(key);
          return;
        }
        if ((await looks.run(() => look(question, digest, longLookMs))) !== false) return;
        lookedAt.delete(key);
        const fields = { backup: formatReference({ ...question.backup, digest }) };
        logger.warn(fields, 'the backup has lost parts of an image: it is copied again');
        await mend();
      } catch (error) {
        // It is looked at again when somebody asks for it again.
        lookedAt.delete(key);
        logger.warn({ err: error }, 'the backup could not be mended');
      }
    });
  }

  async function isUsable(
    question: BackupQuery,
    digest: string,
    withinMs: number,
  ): Promise<boolean> {
    const key = toKey(question, digest);
    if (wasLookedAt(key)) return true;
    const isComplete = await look(question, digest, Math.min(shortLookMs, withinMs));
    if (isComplete === true) remember(key);
    return isComplete !== false;
  }

  /** `undefined` where nobody can tell. */
  async function look(
    { backup: { domain, path }, access, signal }: BackupQuery,
    digest: string,
    ms: number,
  ): Promise<boolean | undefined> {
    const error = (): CloneError =>
      new CloneError('BACKUP_UNAVAILABLE', `the backup registry ${domain} did not answer in time`);
    try {
      return await withDeadline({ ms, error, signal }, (within) =>
        Promise.resolve(cloner.isComplete?.({ domain, path, digest }, access, within)),
      );
    } catch (failure) {
      signal.throwIfAborted();
      if (failure instanceof CloneError) return undefined;
      throw failure;
    }
  }

  function wasLookedAt(key: string): boolean {
    const at = lookedAt.get(key);
    return at !== undefined && now() - at < lookAgainMs;
  }

  function remember(key: string): void {
    lookedAt.set(key, now());
  }

  return { checkLater, isUsable };
}

function toKey({ backup }: BackupQuery, digest: string): string {
  return `${canonicalRepository(backup)}@${digest}`;
}

function inAMoment(work: () => Promise<void>): void {
  setTimeout(() => void work(), soonMs).unref();
}
