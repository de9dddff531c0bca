import { CloneError } from '../../errors.ts';
import { canonicalRepository, formatReference } from '../../image/reference.ts';
import type { ImageCloner, Logger } from '../../ports/index.ts';
import { withDeadline } from '../../util/abort.ts';
import { createBoundedMap } from '../../util/bounded-map.ts';
import { createSemaphore } from '../../util/semaphore.ts';
import type { BackupQuery } from './read-backup.ts';

/**
 * Checks that images in the backup are complete. A registry whose garbage collection ran at the wrong time has the manifest
 * without the layers, and only a node that pulls would notice.
 */
export interface IntegrityCheck {
  /** Checks soon after the response, and rarely per image. */
  checkLater(query: BackupQuery, digest: string, then: IntegrityActions): void;
  /** `false` only if something is known to be missing; a registry that does not answer in time is trusted. */
  isUsable(query: BackupQuery, digest: string, withinMs: number): Promise<boolean>;
}

interface IntegrityActions {
  /** Called if something is missing. */
  readonly repair: () => Promise<unknown>;
  /** Called if nothing is. */
  readonly refresh: () => Promise<unknown>;
}

export interface IntegrityCheckDeps {
  readonly cloner: ImageCloner;
  readonly logger: Logger;
  readonly now: () => number;
  /** Schedules background work. @default after two seconds, unless the process ends before */
  readonly soon?: ((work: () => Promise<void>) => void) | undefined;
}

/** A check costs a request for each layer. */
const recheckMs = 10 * 60_000;
const maxRemembered = 10_000;
const soonMs = 2_000;
const backgroundTimeoutMs = 60_000;
const reviewTimeoutMs = 2_000;
/** One object may name 200 images of 10 000 layers each, and a backup that limits requests would limit all namespaces. */
const maxConcurrentChecks = 2;
/** Further checks are skipped until the image is requested again. */
const maxQueuedChecks = 100;

export function createIntegrityCheck({
  cloner,
  logger,
  now,
  soon = runSoon,
}: IntegrityCheckDeps): IntegrityCheck {
  /** The time when an image was found complete, or its check was scheduled. */
  const checkedAt = createBoundedMap<string, number>(maxRemembered);
  const checks = createSemaphore(maxConcurrentChecks);

  function checkLater(query: BackupQuery, digest: string, then: IntegrityActions): void {
    const key = toKey(query, digest);
    if (cloner.isComplete === undefined || isRecent(key)) return;
    checkedAt.set(key, now());
    const backup = formatReference({ ...query.backup, digest });
    soon(async () => {
      try {
        if (checks.waiting() >= maxQueuedChecks) {
          checkedAt.delete(key);
          return;
        }
        const isComplete = await checks.run(() => check(query, digest, backgroundTimeoutMs));
        if (isComplete !== false) {
          await then.refresh();
          return;
        }
        checkedAt.delete(key);
        logger.warn({ backup }, 'the backup has lost parts of an image: copying it again');
        await then.repair();
      } catch (error) {
        checkedAt.delete(key);
        logger.warn(
          { backup, err: error },
          'an image in the backup could not be checked or repaired',
        );
      }
    });
  }

  async function isUsable(query: BackupQuery, digest: string, withinMs: number): Promise<boolean> {
    const key = toKey(query, digest);
    if (isRecent(key)) return true;
    const isComplete = await check(query, digest, Math.min(reviewTimeoutMs, withinMs));
    if (isComplete === true) checkedAt.set(key, now());
    return isComplete !== false;
  }

  /** `undefined` if the registry gives no clear answer. */
  async function check(
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

  function isRecent(key: string): boolean {
    const at = checkedAt.get(key);
    return at !== undefined && now() - at < recheckMs;
  }

  return { checkLater, isUsable };
}

function toKey({ backup }: BackupQuery, digest: string): string {
  return `${canonicalRepository(backup)}@${digest}`;
}

function runSoon(work: () => Promise<void>): void {
  setTimeout(() => void work(), soonMs).unref();
}
