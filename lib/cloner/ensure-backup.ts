import { CloneError, isFailureOf, isPostponed } from '../errors.ts';
import { formatReference } from '../image/reference.ts';
import type {
  BackupCredentials,
  CloneOutcome,
  CredentialSource,
  ImageCloner,
  Logger,
  Observer,
  WorkloadSecrets,
} from '../ports/index.ts';
import { createBackoff } from '../util/backoff.ts';
import { sleep } from '../util/clock.ts';
import { type Answers, createAskRegistries } from './ask-registries.ts';
import {
  assertMovable,
  createGuardBackup,
  createImmutableTags,
  createIntegrityCheck,
  createPrivateCopies,
  createReferrers,
  findHold,
  type IntegrityCheckDeps,
  isCopyOf,
} from './backup/index.ts';
import { createCheckParts } from './check-parts.ts';
import {
  type CloneTask,
  type EnsureRequest,
  type PendingCopy,
  toReady,
  type UsableBackup,
} from './clone-task.ts';
import { createCopyToBackup } from './copy-to-backup.ts';
import { previewCopy } from './dry-run.ts';
import { createFallBack } from './fall-back.ts';
import { type Copies, createLoadShedder } from './queue/index.ts';
import { createRegistryHealth, type RegistryHealth } from './registry-health/index.ts';
import { createReport } from './report.ts';
import { type CheckedSource, createCheckSource } from './source/index.ts';
import { createStartCopy } from './start-copy.ts';
import { createUseGeneration } from './use-generation.ts';
import { createUseNamed } from './use-named.ts';
import { createUseRollback } from './use-rollback.ts';

export interface EnsureDeps {
  readonly cloner: ImageCloner;
  readonly copies: Copies;
  readonly sourceCredentials: CredentialSource;
  readonly workloadSecrets?: WorkloadSecrets | undefined;
  readonly backupCredentials: BackupCredentials;
  readonly pinDigests: boolean;
  readonly adoptExisting: boolean;
  /** Distinguishes clusters that share a backup. */
  readonly clusterId: string;
  /** Whether private images may be copied to a backup that anonymous clients can read. */
  readonly privateToPublic: 'deny' | 'allow';
  readonly logger: Logger;
  readonly observer: Observer;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
  /** Milliseconds since 1970, for tags that record a time. @default the system's clock */
  readonly wallClock?: (() => number) | undefined;
  /** Read by the status page. @default its own */
  readonly registryHealth?: RegistryHealth | undefined;
  /** Runs background work, see `createIntegrityCheck`. */
  readonly soon?: IntegrityCheckDeps['soon'];
}

/** Makes the backup hold one image, or says why it does not. Rejects only for bugs. */
export type EnsureBackup = (request: EnsureRequest) => Promise<CloneOutcome>;

/**
 * The policy between a review and the adapters: reads the backup, checks the source, copies what is missing, and falls back to
 * the backup if the source fails.
 */
export function createEnsureBackup(deps: EnsureDeps): EnsureBackup {
  const { cloner, now, adoptExisting, wallClock = Date.now } = deps;
  const backoff = createBackoff({ sleep, random: Math.random });
  const report = createReport(deps);
  const immutableTags = createImmutableTags({ now });
  const startCopy = createStartCopy({ ...deps, immutableTags, report, wallClock, backoff });
  const { breaker, limits } = deps.registryHealth ?? createRegistryHealth({ now });
  const shedder = createLoadShedder();
  const guardBackup = createGuardBackup({ ...deps, breaker, limits });
  const checkSource = createCheckSource({
    cloner,
    breaker,
    limits,
    credentials: deps.sourceCredentials,
    workloadSecrets: deps.workloadSecrets,
    now,
  });
  const useNamed = createUseNamed({ guardBackup, backupCredentials: deps.backupCredentials });
  const askRegistries = createAskRegistries({
    guardBackup,
    breaker,
    checkSource,
    backupCredentials: deps.backupCredentials,
    readsPullSecrets: deps.workloadSecrets !== undefined,
    now,
  });
  const privateCopies = createPrivateCopies({
    cloner,
    isEnabled: deps.workloadSecrets !== undefined,
    cluster: deps.clusterId,
    toPublic: deps.privateToPublic,
  });
  const integrity = createIntegrityCheck({ cloner, logger: deps.logger, now, soon: deps.soon });
  const { stopping } = deps.copies;
  const referrers = createReferrers({ cloner, logger: deps.logger, stopping, now });
  const copyToBackup = createCopyToBackup({
    startCopy,
    guardBackup,
    privateCopies,
    referrers,
    now,
  });
  const useGeneration = createUseGeneration({ immutableTags, privateCopies });
  const useRollback = createUseRollback(startCopy);
  const checkParts = createCheckParts({ ...deps, integrity, referrers, startCopy });
  const fallBack = createFallBack({ cloner, privateCopies, integrity });

  return async function ensureBackup(request) {
    const startedAt = now();
    const remainingMs = (): number => Math.max(0, request.budgetMs - (now() - startedAt));
    const backup = { ...request.backup, tag: request.backup.tag ?? 'latest' };
    const outcome = await toOutcome(() =>
      shedder.run(request.namespace ?? '', request.signal, async (signal) => {
        const asked = { ...request, backup, signal };
        const named = await useNamed(asked, remainingMs);
        if (named !== undefined) return { ...named, durationMs: now() - startedAt };
        const { access, state, source } = await askRegistries(asked, remainingMs);
        const query = { backup, access, signal, cloner: guardBackup({ ...asked, remainingMs }) };
        const task = { ...asked, access, query, state, remainingMs };
        const usable = await useSourceOrBackup(task, source);
        return 'status' in usable
          ? usable
          : toReady(task, usable, now() - startedAt, deps.pinDigests);
      }),
    );
    report.outcome(request, outcome, now() - startedAt);
    return outcome;
  };

  async function useSourceOrBackup(
    task: CloneTask,
    source: Answers['source'],
  ): Promise<UsableBackup | PendingCopy> {
    try {
      if ('error' in source) throw source.error;
      return await useSource(task, source);
    } catch (error) {
      const isPostponement = error instanceof CloneError && isPostponed(error);
      if (isPostponement || isFailureOf('backup', error)) throw error;
      return await fallBack(task, error).catch((failure: unknown) => useLastResort(task, failure));
    }
  }

  /** Copies another name of the same image; throws `failure` if that is not possible. */
  async function useLastResort(
    task: CloneTask,
    failure: unknown,
  ): Promise<UsableBackup | PendingCopy> {
    const { lastResort, remainingMs, pod, isInteractive, signal } = task;
    if (lastResort === undefined || isFailureOf('backup', failure)) throw failure;
    const options = { budgetMs: remainingMs(), hasBackup: Promise.resolve(false), pod };
    const checked = await checkSource(lastResort, { ...options, isInteractive, signal }).catch(
      () => {
        throw failure;
      },
    );
    const used = await useSource({ ...task, source: lastResort }, checked);
    if ('status' in used) return used;
    const warning = `${formatReference(task.source)}: copied from a former backup, ${formatReference(lastResort)}`;
    return { ...used, warnings: [warning, ...used.warnings] };
  }

  /** The source exists: copies it unless the backup holds it. */
  async function useSource(
    task: CloneTask,
    checked: CheckedSource,
  ): Promise<UsableBackup | PendingCopy> {
    const { source, backup, state, query } = task;
    const { digest } = state;
    const warnings = platformWarnings(task, checked);
    const isCurrent =
      digest !== undefined &&
      (source.digest !== undefined || (await isCopyOf(query, digest, checked.digest)));
    const pinned = isCurrent ? undefined : await useGeneration(task, checked, warnings);
    if (pinned !== undefined) return pinned;
    if (task.dryRun) {
      return await previewCopy(task, checked, { isCurrent, adoptExisting, warnings });
    }
    const opened = { source, checked, namespace: task.pod?.namespace };
    if (isCurrent && state.isOurs) {
      await privateCopies.admit(query, opened, digest);
      const unsigned = await checkParts(task, checked, digest);
      return { digest, result: 'present', warnings: [...warnings, ...unsigned] };
    }
    if (!isCurrent) {
      if (state.unclear === undefined) assertMovable(backup, state, adoptExisting);
      // If no tag exists yet, the copy reads the hold before it writes.
      const mayBeHeld = digest !== undefined && source.digest === undefined;
      const held = mayBeHeld ? await findHold(query) : undefined;
      if (typeof held === 'string') {
        await privateCopies.admit(query, opened, held);
        return await useRollback(task, held, warnings);
      }
    }
    return await copyToBackup(task, checked, { isCurrent, warnings });
  }

  function platformWarnings({ source }: CloneTask, { isIndex }: CheckedSource): readonly string[] {
    const { selection } = cloner;
    if (!isIndex || selection === undefined || selection.plan !== undefined) return [];
    return [`${formatReference(source)}: only the docker daemon's own platform is backed up`];
  }
}

/** A `CloneError` becomes an outcome; every other error is a bug. */
async function toOutcome(work: () => Promise<CloneOutcome>): Promise<CloneOutcome> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof CloneError)) throw error;
    if (!isPostponed(error)) return { status: 'failed', error };
    const retryAfterSeconds = Math.ceil((error.retryAfterMs ?? 5_000) / 1000);
    return { status: 'pending', stage: 'postponed', detail: error.message, retryAfterSeconds };
  }
}
