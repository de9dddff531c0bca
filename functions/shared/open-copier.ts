import { setTimeout as delay } from 'node:timers/promises';
import { createLogger } from '../../lib/adapters/log.ts';
import { createMetrics } from '../../lib/adapters/metrics.ts';
import { createEnsureUntilDone, type EnsureUntilDone } from '../../lib/cloner/ensure-until-done.ts';
import { createCopies, watchCopies } from '../../lib/cloner/queue/index.ts';
import { type Config, readConfig } from '../../lib/config/config.ts';
import { toEnsureBackup } from '../../lib/create-admission-handler.ts';
import { formatReference, type Reference, type ReviewPolicy } from '../../lib/index.ts';
import { withoutListener } from './environment.ts';
import { openParts, toCloning } from './open-adapters.ts';
import type { Display } from './progress-display.ts';

/** What a person works with who copies by hand: the webhook's own parts, from the same variables. */
export interface Workbench {
  readonly config: Config;
  readonly policy: ReviewPolicy;
  /** Makes the backup hold an image, as the webhook does, and shows how far it is. */
  readonly ensure: EnsureUntilDone;
  /** Ends copies that run. What they moved stays in the backup for the next time; no tag has moved. */
  stop(): void;
}

export interface WorkbenchOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What is wrong with the arguments is told together with what is wrong with the variables. */
  readonly problems: readonly string[];
  readonly display: Display;
  /** Milliseconds, for durations only. */
  readonly now: () => number;
}

export async function openWorkbench({
  env,
  problems,
  display,
  now,
}: WorkbenchOptions): Promise<Workbench> {
  const own = withoutListener(env);
  const reading = readConfig(own);
  const { config } = reading;
  const logger = createLogger({
    // What becomes of each image is said by ourselves.
    level: (env['LOG_LEVEL'] ?? '') === '' ? 'error' : config.logLevel,
    format: 'pretty',
    write: (line) => process.stderr.write(line),
  });
  const copies = createCopies({ maxCopies: config.maxClones, maxWaiting: config.maxWaiting, now });
  const parts = await openParts({
    reading: { ...reading, problems: [...new Set([...problems, ...reading.problems])] },
    env: own,
    logger,
    metrics: createMetrics({ adapter: config.cloner, copies: () => copies.counts() }),
  });
  const cloner = watchCopies(parts.cloner, {
    progressed: (source, progress) => display.progress(nameOf(source), progress),
  });
  const ensureBackup = toEnsureBackup({
    ...toCloning({ ...parts, cloner }, config),
    copies,
    logger,
    now,
  });
  const patient = createEnsureUntilDone({ ensureBackup, sleep });
  return {
    config,
    policy: parts.policy,
    ensure: async (request) => {
      try {
        return await patient(request);
      } finally {
        display.done(nameOf(request.source));
      }
    },
    stop: () => copies.stop({ abort: true }),
  };
}

export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal });
}

/** A copy is of a digest; the person named a tag, or none. */
function nameOf({ domain, path, tag }: Reference): string {
  return formatReference({ domain, path, ...(tag !== undefined && { tag }) });
}
