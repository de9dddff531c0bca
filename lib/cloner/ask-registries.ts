import { CloneError } from '../errors.ts';
import { canonicalReference, formatReference } from '../image/reference.ts';
import type { BackupCredentials } from '../ports/index.ts';
import { withDeadline } from '../util/abort.ts';
import { createSharedFlight } from '../util/shared-flight.ts';
import {
  type BackupQuery,
  type BackupState,
  type GuardBackup,
  readBackup,
} from './backup/index.ts';
import type { EnsureRequest } from './clone-task.ts';
import type { CircuitBreaker } from './registry-health/index.ts';
import type { CheckedSource, CheckSource } from './source/index.ts';

/** What both registries say about one image. */
export interface Answers {
  readonly access: BackupQuery['access'];
  readonly state: BackupState;
  /** The source, or why it failed. */
  readonly source: CheckedSource | { readonly error: unknown };
}

/**
 * Asks the backup and the source at the same time. Concurrent requests with the same question and the same credentials share the
 * answers, and each waits with its own signal. Rejects if the backup fails.
 */
export type AskRegistries = (
  request: EnsureRequest & { readonly backup: BackupQuery['backup'] },
  remainingMs: () => number,
) => Promise<Answers>;

export interface AskRegistriesDeps {
  readonly guardBackup: GuardBackup;
  readonly breaker: Pick<CircuitBreaker, 'isOpen'>;
  readonly checkSource: CheckSource;
  readonly backupCredentials: BackupCredentials;
  /** Whether the pull secrets of workloads open sources, so that namespaces have different questions. */
  readonly readsPullSecrets: boolean;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
}

/** Reviews of the same image come in bursts. */
const maxJoinMs = 1_000;
/** Lets the deadlines inside of a question fire first: they name the registry that did not answer. */
const graceMs = 50;

export function createAskRegistries(deps: AskRegistriesDeps): AskRegistries {
  const { guardBackup, breaker, checkSource, backupCredentials, readsPullSecrets, now } = deps;
  const questions = createSharedFlight<Answers>({ maxJoinMs, now });

  return async (request, remainingMs) => {
    const { source, signal } = request;
    const question = toQuestion(request, readsPullSecrets);
    // The first caller has deadlines inside of `ask`; another one may have less time than that.
    const ms = remainingMs() + graceMs;
    const error = (): CloneError =>
      new CloneError(
        'SOURCE_UNAVAILABLE',
        `${source.domain} did not say in time whether ${formatReference(source)} exists`,
      );
    return await withDeadline({ ms, error, signal }, (within) =>
      questions.run(question, within, (signal) => ask({ ...request, signal }, remainingMs)),
    );
  };

  async function ask(
    request: Parameters<AskRegistries>[0],
    remainingMs: () => number,
  ): Promise<Answers> {
    const { source, backup, pod, isInteractive, signal } = request;
    const credentials = await backupCredentials({ ms: remainingMs(), signal });
    const access = { side: 'backup', credentials } as const;
    // A quarter of the budget stays for the source, in case it waits for the backup.
    const readMs = (): number => Math.max(0, remainingMs() - request.budgetMs / 4);
    const cloner = guardBackup({ ...request, remainingMs: readMs });
    const reading = readBackup({ cloner, backup, access, signal }, source);
    const whether = reading.then(({ digest, isOurs }) => digest !== undefined && isOurs);
    // The source is asked for nothing if a backup that is down refuses the request.
    const isDown = breaker.isOpen({ side: 'backup', domain: backup.domain });
    const hasBackup = isDown ? await whether : whether;
    const options = { budgetMs: remainingMs(), hasBackup, pod, isInteractive, signal };
    const checking = checkSource(source, options).catch((error: unknown) => ({ error }));
    return { access, state: await reading, source: await checking };
  }
}

/** Callers with different budgets ask separately, because the budget of the first one limits the answers. */
function toQuestion(
  { source, backup, pod, dryRun, isInteractive = true, budgetMs }: Parameters<AskRegistries>[0],
  readsPullSecrets: boolean,
): string {
  const images = [canonicalReference(source), canonicalReference(backup)];
  const seconds = Math.floor(budgetMs / 1000);
  return JSON.stringify([images, readsPullSecrets && pod, dryRun, isInteractive, seconds]);
}
