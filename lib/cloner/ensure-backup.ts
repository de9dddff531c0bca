import { CloneError, isFailureOf, isPostponed } from '../errors.ts';
import { formatReference, type Reference } from '../image/reference.ts';
import type {
  CloneOutcome,
  CopyResult,
  CredentialSource,
  Credentials,
  ImageCloner,
  Logger,
  Observer,
  WorkloadSecrets,
} from '../ports/index.ts';
import {
  assertMovable,
  type BackupQuery,
  type BackupWrite,
  createAskBackup,
  createIntegrityCheck,
  createPrivateCopies,
  findCopy,
  findHold,
  type IntegrityCheckDeps,
  isCopyOf,
  markBackup,
  mendBackup,
  readBackup,
  writeBackup,
} from './backup/index.ts';
import {
  type CloneTask,
  type EnsureRequest,
  lateBackup,
  toQuestion,
  waitFor,
} from './clone-task.ts';
import { createFallBack } from './fall-back.ts';
import { type Found, toReady } from './found.ts';
import { type Copies, createLoadShedder, describeProgress, type Find } from './queue/index.ts';
import { createCircuitBreaker, createRateLimits } from './registry-health/index.ts';
import { createReport } from './report.ts';
import { type CheckedSource, createCheckSource } from './source/index.ts';
import { createStartCopy } from './start-copy.ts';
import { createUseHeld } from './use-held.ts';

export interface EnsureDeps {
  readonly cloner: ImageCloner;
  readonly copies: Copies;
  readonly sourceCredentials: CredentialSource;
  readonly workloadSecrets?: WorkloadSecrets | undefined;
  readonly backupCredentials: () => Promise<Credentials | undefined>;
  readonly pinDigests: boolean;
  readonly adoptExisting: boolean;
  /** Tells clusters that share a backup from each other. */
  readonly clusterId: string;
  /** Whether private images may go to a backup that anybody can read. */
  readonly privateToPublic: 'deny' | 'allow';
  readonly logger: Logger;
  readonly observer: Observer;
  /** Milliseconds, for durations only. */
  readonly now: () => number;
  /** Milliseconds since 1970, for what is written down. @default the system's clock */
  readonly wallClock?: (() => number) | undefined;
  /** Runs what nobody waits for, see `createIntegrityCheck`. */
  readonly soon?: IntegrityCheckDeps['soon'];
}

/** How long the backup may take to say whether another replica has made a copy; no review may be left that waits. */
const maxFindMs = 30_000;
/** In which a backup answers that is there. */
const minAnswerMs = 1_000;

/** Makes the backup hold one image, or says why it does not. Rejects only for bugs. */
export type EnsureBackup = (request: EnsureRequest) => Promise<CloneOutcome>;

/**
 * The policy between a review and the adapters, written once for all of them: look into the backup, ask the source,
 * copy what is missing, fall back to the backup when the source is gone.
 */
export function createEnsureBackup(deps: EnsureDeps): EnsureBackup {
  const { cloner, now, wallClock = Date.now } = deps;
  const report = createReport(deps);
  const start = createStartCopy({ ...deps, report, wallClock });
  const breaker = createCircuitBreaker({ now });
  const limits = createRateLimits({ now });
  const crowd = createLoadShedder();
  const askBackup = createAskBackup({ ...deps, breaker, limits });
  const checkSource = createCheckSource({
    cloner,
    breaker,
    limits,
    credentials: deps.sourceCredentials,
    workloadSecrets: deps.workloadSecrets,
    now,
  });
  const privateCopies = createPrivateCopies({
    cloner,
    isEnabled: deps.workloadSecrets !== undefined,
    cluster: deps.clusterId,
    toPublic: deps.privateToPublic,
  });

  const integrity = createIntegrityCheck({ cloner, logger: deps.logger, now, soon: deps.soon });
  const useHeld = createUseHeld(start);
  const fallBack = createFallBack({ cloner, askBackup, privateCopies, integrity });

  return async function ensureBackup(request) {
    const startedAt = now();
    const remainingMs = (): number => Math.max(0, request.budgetMs - (now() - startedAt));
    const outcome = await toOutcome(() =>
      crowd.run(request.namespace ?? '', request.signal, async (signal) => {
        const task = await lookIntoBackup({ ...request, signal }, remainingMs);
        const found = await find(task);
        return 'status' in found ? found : toReady(task, found, now() - startedAt, deps.pinDigests);
      }),
    );
    report.outcome(request, outcome, now() - startedAt);
    return outcome;
  };

  async function lookIntoBackup(
    request: EnsureRequest,
    remainingMs: () => number,
  ): Promise<CloneTask> {
    const access = { side: 'backup', credentials: await deps.backupCredentials() } as const;
    const backup = { ...request.backup, tag: request.backup.tag ?? 'latest' };
    const asking = { ...request, backup, access, remainingMs };
    const state = await askBackup(asking, (question) => readBackup(question, request.source));
    return { ...asking, state };
  }

  /** The source first; whatever is wrong with it, what we have is used. */
  async function find(task: CloneTask): Promise<Found | CloneOutcome> {
    const { source, pod, isInteractive, signal, state } = task;
    try {
      const budgetMs = task.remainingMs();
      const hasBackup = state.digest !== undefined && state.isOurs;
      // Who was given no time has kept nobody waiting.
      if (!hasBackup && budgetMs < task.budgetMs / 4) throw lateBackup(task);
      const options = { budgetMs, hasBackup, pod, isInteractive, signal };
      return await bring(task, await checkSource(source, options));
    } catch (error) {
      // The source is not to blame, so the backup is no way out.
      if (isFailureOf('backup', error) || (error instanceof CloneError && isPostponed(error))) {
        throw error;
      }
      return await fallBack(task, error);
    }
  }

  /** The source is there: copy it unless the backup holds it already. */
  async function bring(task: CloneTask, checked: CheckedSource): Promise<Found | CloneOutcome> {
    const { source, backup, state, dryRun } = task;
    const { digest } = state;
    const warnings = platformWarnings(source, checked);
    const opened = { source, checked, namespace: task.pod?.namespace };
    // Whoever opens the source now has opened what it held before: a held or a copied digest alike.
    const admit = (digest: string) => async (question: BackupQuery) =>
      await privateCopies.admit(question, opened, digest);
    const isCurrent =
      digest !== undefined &&
      (source.digest !== undefined ||
        (await askBackup(task, (question) => isCopyOf(question, digest, checked.digest))));
    if (isCurrent && (state.isOurs || dryRun)) {
      if (!dryRun) {
        await askBackup(task, admit(checked.digest));
        integrity.checkLater(toQuestion(task, cloner), digest, () => mend(task, checked, digest));
      }
      return { digest, result: 'present', warnings };
    }
    if (!isCurrent) assertMovable(backup, state, deps.adoptExisting);
    // Where there is no tag yet, a hold is found when it is written.
    const movesOn = digest !== undefined && !isCurrent && source.digest === undefined;
    const held = movesOn ? await askBackup(task, findHold) : undefined;
    if (held !== undefined) {
      if (!dryRun) await askBackup(task, admit(held));
      return await useHeld(task, held, warnings);
    }
    if (dryRun) {
      const known = cloner.keepsDigest ? { digest: checked.digest } : {};
      return { ...known, result: 'planned', warnings };
    }
    const work = async (write: BackupWrite): Promise<CopyResult> => {
      if (isCurrent) return await markBackup(write, digest);
      await privateCopies.markBeforeCopy(write, opened);
      return await writeBackup(write, source, checked, state);
    };
    const find: Find = (signal) =>
      askBackup({ ...task, signal, remainingMs: () => maxFindMs }, (question) =>
        findCopy(question, source, checked.digest),
      );
    try {
      const purpose = isCurrent ? 'mark' : source.digest === undefined ? 'move' : 'pin';
      const credentialNamespace = checked.openedBy === 'workload' ? task.pod?.namespace : undefined;
      const copy = start({ ...task, credentialNamespace }, checked.digest, purpose, work, find);
      const copied = await waitFor(copy, task);
      if (copied === undefined) return { status: 'pending', ...describeProgress(copy) };
      // Whoever waited for another namespace's copy has opened the image too.
      if (!(await isAnswered(task, admit(copied.digest)))) {
        return { status: 'pending', ...describeProgress(copy) };
      }
      const all = [...warnings, ...(copied.warnings ?? [])];
      const wasThere = isCurrent || copied.isElsewhere === true;
      return { ...copied, result: wasThere ? 'present' : 'copied', warnings: all };
    } catch (error) {
      // The docker daemon can give the image no second tag without changing its digest.
      const isUntaggable = error instanceof CloneError && error.code === 'BACKUP_GENERATION_LOST';
      if (!isCurrent || !isUntaggable) throw error;
      const name = formatReference(backup);
      return {
        digest,
        result: 'present',
        warnings: [
          ...warnings,
          `${name} was put there by others: not used when the source is gone`,
        ],
      };
    }
  }

  /** Whether there was time to ask. Who is given next to none is not to blame for a timeoutError, and whoever comes back has more. */
  async function isAnswered(
    task: CloneTask,
    question: (question: BackupQuery) => Promise<void>,
  ): Promise<boolean> {
    const hadTime = task.remainingMs() >= minAnswerMs;
    try {
      await askBackup(task, question);
      return true;
    } catch (error) {
      if (hadTime || !isFailureOf('backup', error, ['UNAVAILABLE'])) throw error;
      return false;
    }
  }

  /** Copies again what the backup has lost, from where it has just been seen. */
  async function mend(task: CloneTask, checked: CheckedSource, digest: string): Promise<void> {
    const { source, backup, uid } = task;
    if (checked.digest !== digest) return;
    const copy = start(task, digest, 'mend', (write) => mendBackup(write, source, checked));
    const copied = await copy.wait(new AbortController().signal);
    deps.logger.info({ uid, backup: formatReference(backup), ...copied }, 'the backup is mended');
  }

  function platformWarnings(source: Reference, { isIndex }: CheckedSource): readonly string[] {
    if (!isIndex || cloner.keepsDigest) return [];
    return [`${formatReference(source)}: only the docker daemon's own platform is backed up`];
  }
}

/** Reasons that a person can be told become outcomes; all others are bugs. */
async function toOutcome(work: () => Promise<CloneOutcome>): Promise<CloneOutcome> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof CloneError)) throw error;
    return isPostponed(error)
      ? {
          status: 'pending',
          stage: 'waiting',
          detail: error.message,
          retryAfterSeconds: Math.ceil((error.retryAfterMs ?? 5_000) / 1000),
        }
      : { status: 'failed', error };
  }
}
