import {
  type AdmissionHandler,
  createAdmissionHandler,
  type ReviewPolicy,
} from '../../lib/index.ts';
import { type Bench, openBench } from '../adapters/registry/bench.ts';
import { createMemoryLog, type MemoryLog } from '../support/memory-log.ts';
import { deployment, patchOf, policy, review } from '../support/reviews.ts';

/** The handler and the registry adapter between two in-memory registries. */
export interface Scene extends Pick<Bench, 'source' | 'backup'> {
  readonly log: MemoryLog;
  /** Replaces the handler, as a new process with the same registries. */
  restart(): void;
  /** Result of `kubectl apply` of a Deployment with this image, with names instead of loopback addresses. */
  apply(image?: string, options?: { readonly dryRun?: boolean }): Promise<Told>;
  /** The last value of the metric `backup_up`. */
  isBackupUp(): boolean | undefined;
  close(): Promise<void>;
}

interface Told {
  readonly allowed: boolean;
  readonly code: number | undefined;
  /** After `denied the request: `. */
  readonly message: string | undefined;
  readonly warnings: readonly string[];
  /** All audit annotations. */
  readonly audit: string;
  readonly patch: unknown;
}

export interface SceneOptions {
  readonly policy?: Partial<ReviewPolicy>;
  readonly maxImageBytes?: number;
  /** @default 5000 */
  readonly budgetMs?: number;
}

export async function openScene(options: SceneOptions = {}): Promise<Scene> {
  const { maxImageBytes, budgetMs = 5_000 } = options;
  const bench = await openBench(maxImageBytes === undefined ? {} : { maxImageBytes });
  const { source, backup, cloner } = bench;
  const log = createMemoryLog();
  let seconds = 0;
  let isBackupUp: boolean | undefined;
  const start = (): AdmissionHandler =>
    createAdmissionHandler({
      cloner,
      policy: policy({
        backup: { domain: backup.host, namespace: 'acme', naming: 'nested' },
        ...options.policy,
      }),
      logger: log.logger,
      // A second passes between any two records of a time.
      wallClock: () => {
        seconds += 1;
        return Date.UTC(2026, 0, 1, 0, 0, seconds);
      },
      observer: {
        reviewed: () => undefined,
        cloned: () => undefined,
        backupAnswered: (isUp) => {
          isBackupUp = isUp;
        },
      },
    });
  let handler = start();
  // Ports differ in every run.
  const named = (text: string): string =>
    text
      .replaceAll(source.host.replace(':', '-'), 'public.test')
      .replaceAll(source.host, 'public.test')
      .replaceAll(backup.host, 'backup.test')
      .replaceAll(/app-[0-9a-f]{12}/g, 'app');
  return {
    source,
    backup,
    log,
    restart() {
      handler = start();
    },
    isBackupUp: () => isBackupUp,
    async apply(image = 'app:1', { dryRun = false } = {}) {
      const body = review({ object: deployment({ web: `${source.host}/${image}` }), dryRun });
      const answer = await handler(body, { signal: new AbortController().signal, budgetMs });
      const { allowed, status, warnings = [], auditAnnotations = {} } = answer.response;
      return {
        allowed,
        code: status?.code,
        message: status && named(status.message),
        warnings: warnings.map(named),
        audit: Object.values(auditAnnotations).join('; '),
        patch: patchOf(answer),
      };
    },
    close: () => bench.close(),
  };
}
