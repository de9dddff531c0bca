import { canonicalReference } from '../image/reference.ts';
import type { BackupCredentials } from '../ports/index.ts';
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
}

export function createAskRegistries(deps: AskRegistriesDeps): AskRegistries {
  const { guardBackup, breaker, checkSource, backupCredentials, readsPullSecrets } = deps;
  const questions = createSharedFlight<Answers>();

  return (request, remainingMs) =>
    questions.run(toQuestion(request, readsPullSecrets), request.signal, (signal) =>
      ask({ ...request, signal }, remainingMs),
    );

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

/**
 * The API server sends one timeout, of which reviews have waited for different milliseconds, so a caller that joins has at least
 * the time that the first one had.
 */
function toQuestion(
  { source, backup, pod, dryRun, isInteractive = true, budgetMs }: Parameters<AskRegistries>[0],
  readsPullSecrets: boolean,
): string {
  const images = [canonicalReference(source), canonicalReference(backup)];
  const seconds = Math.round(budgetMs / 1000);
  return JSON.stringify([images, readsPullSecrets && pod, dryRun, isInteractive, seconds]);
}
