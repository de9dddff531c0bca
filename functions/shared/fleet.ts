import { type ApplyToEachOptions, applyToEach } from '../../lib/fleet/apply-to-each.ts';
import { createAwaitRollout, type FollowRolloutDeps } from '../../lib/fleet/await-rollout.ts';
import { createRateLimiter, type RateLimiter } from '../../lib/fleet/rate-limiter.ts';
import type { ReportRow } from '../../lib/fleet/report.ts';
import { formatWorkload } from '../../lib/fleet/stored-workload.ts';
import type { StoredWorkload, WorkloadStore } from '../../lib/ports/index.ts';
import { monotonicClock, sleep } from '../../lib/util/clock.ts';
import { mapConcurrently } from '../../lib/util/semaphore.ts';
import { type Env, isInsideCluster } from './environment.ts';
import { formatTable } from './format-table.ts';
import { printJson } from './run-command.ts';
import type { WorkloadFlags } from './workload-flags.ts';

/** What a command needs to change the workloads of a cluster, one after the other. */
export interface Fleet extends FollowRolloutDeps {
  readonly store: WorkloadStore;
  readonly rateLimiter: RateLimiter;
}

export interface FleetOptions {
  readonly env: Env;
  readonly flags: WorkloadFlags;
  readonly fieldManager: string;
  readonly print: (line: string) => void;
}

export interface FleetRun extends ApplyToEachOptions {
  readonly report: (
    stored: StoredWorkload,
    signal: AbortSignal,
  ) => Promise<readonly ReportRow[]> | readonly ReportRow[];
  /** Printed if the report has no row. */
  readonly empty: string;
  /** The command line that changes what the report lists. */
  readonly next: string;
}

const maxConcurrentReports = 8;

export async function openFleet({ env, flags, fieldManager, print }: FleetOptions): Promise<Fleet> {
  const { perMinute, rolloutTimeoutMs: timeoutMs } = flags;
  const { now } = monotonicClock;
  const { openWorkloadStore } = await import('../../lib/adapters/kubernetes/index.ts');
  const store = openWorkloadStore({
    kubeconfig: env['KUBECONFIG'],
    insideCluster: isInsideCluster(env),
    fieldManager,
    sleep,
  });
  return {
    store,
    rateLimiter: createRateLimiter({ perMinute, now, sleep }),
    ...(timeoutMs !== undefined && {
      awaitRollout: createAwaitRollout({ store, now, sleep, timeoutMs }),
    }),
    onProgress: (stored, text) => print(`${stored.namespace} ${formatWorkload(stored)}: ${text}`),
  };
}

/** Changes the workloads with `--apply`. Else prints a table, or with `--json` a document, with one row for each image of each object. */
export async function applyOrReport(
  { apply, json }: WorkloadFlags,
  run: FleetRun,
): Promise<boolean> {
  if (apply) return await applyToEach(run);
  const { storedWorkloads, report, empty, next, print, signal } = run;
  const reports = await mapConcurrently(storedWorkloads, maxConcurrentReports, async (stored) => {
    signal.throwIfAborted();
    return await report(stored, signal);
  });
  const rows = reports.flat();
  if (json) printJson({ rows });
  else for (const line of rows.length === 0 ? [empty] : formatReport(rows, next)) print(line);
  return true;
}

/** A table, a summary and the command to type next. */
export function formatReport(rows: readonly ReportRow[], next: string): readonly string[] {
  const head = ['NAMESPACE', 'OBJECT', 'CONTAINER', 'IMAGE', 'STATUS'];
  const body = rows.map((row) => [row.namespace, row.object, row.container, row.image, row.what]);
  const objects = new Set(rows.map(({ namespace, object }) => `${namespace} ${object}`)).size;
  const changes = rows.filter(({ what }) => /^(would|in the backup)/.test(what)).length;
  return [
    ...formatTable([head, ...body]),
    `${count(rows.length, 'image')} of ${count(objects, 'object')}, ${changes} to change${changes === 0 ? '' : `: ${next}`}`,
  ];
}

function count(number: number, noun: string): string {
  return number === 1 ? `1 ${noun}` : `${number} ${noun}s`;
}
