import { createMetrics } from '../../../lib/adapters/metrics.ts';
import {
  createEnsureUntilDone,
  type EnsureUntilDone,
} from '../../../lib/cloner/ensure-until-done.ts';
import { createCopies } from '../../../lib/cloner/queue/index.ts';
import { type Config, readConfig } from '../../../lib/config/config.ts';
import { toEnsureBackup } from '../../../lib/create-admission-handler.ts';
import { formatReference, type Reference, type ReviewPolicy } from '../../../lib/index.ts';
import type { ImageCloner } from '../../../lib/ports/index.ts';
import { monotonicClock, sleep } from '../../../lib/util/clock.ts';
import { type Env, omitListenerVariables } from '../settings/environment.ts';
import type { ProgressDisplay } from '../terminal/progress-display.ts';
import { createCommandLogger } from './backup-access.ts';
import { openAdapters, toEnsureBackupDeps } from './open-adapters.ts';
import { openLogins } from './personal-logins.ts';

/** Copies images for a command, with the adapters and the policy of the webhook. */
export interface Copier {
  readonly config: Config;
  readonly policy: ReviewPolicy;
  /** Makes the backup hold an image, and displays the progress. */
  readonly ensureBackup: EnsureUntilDone;
  /** Resolves when images that were there already are checked, and what the backup has lost of them is copied again. */
  finish(): Promise<void>;
  /** Aborts the copies that run. Uploaded layers stay in the backup for the next run; no tag has moved. */
  stop(): void;
}

/** `shared` copies also what only a personal login opens. */
export async function openCopier(
  env: Env,
  display: ProgressDisplay,
  { shared }: { readonly shared: boolean },
): Promise<Copier> {
  const { now } = monotonicClock;
  const commandEnv = omitListenerVariables(env);
  const reading = readConfig(commandEnv);
  const { config } = reading;
  // The command itself prints the result of each image.
  const logger = createCommandLogger((env['LOG_LEVEL'] ?? '') === '' ? 'error' : config.logLevel);
  const copies = createCopies({ maxCopies: config.maxClones, maxWaiting: config.maxWaiting, now });
  const adapters = await openAdapters({
    reading,
    env: commandEnv,
    logger,
    metrics: createMetrics({ adapter: config.cloner, copies: () => copies.counts() }),
    byHand: { logins: openLogins(env), shared },
  });
  const cloner: ImageCloner = {
    ...adapters.cloner,
    copy: (request, signal, onProgress) =>
      adapters.cloner.copy(request, signal, (progress) => {
        onProgress(progress);
        display.progress(nameOf(request.source), progress);
      }),
  };
  const checks = new Set<Promise<void>>();
  const ensureBackup = toEnsureBackup({
    ...toEnsureBackupDeps({ ...adapters, cloner }, config),
    copies,
    logger,
    now,
    soon: (check) => {
      const running = check().finally(() => checks.delete(running));
      checks.add(running);
    },
  });
  const ensureUntilDone = createEnsureUntilDone({ ensureBackup, sleep });
  return {
    config,
    policy: adapters.policy,
    ensureBackup: async (request) => {
      try {
        return await ensureUntilDone(request);
      } finally {
        display.remove(nameOf(request.source));
      }
    },
    finish: async () => void (await Promise.all(checks)),
    stop: () => copies.stop({ abort: true }),
  };
}

/** The source of a copy has a digest; the name on the command line has none. */
function nameOf({ domain, path, tag }: Reference): string {
  return formatReference({ domain, path, ...(tag !== undefined && { tag }) });
}
