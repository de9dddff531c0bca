import { type ApplyToEachOptions, applyToEach } from '../../lib/fleet/apply-to-each.ts';
import { createAwaitRollout, type FollowRolloutDeps } from '../../lib/fleet/await-rollout.ts';
import { createRateLimiter, type RateLimiter } from '../../lib/fleet/rate-limiter.ts';
import type { Effect, Report, ReportRow } from '../../lib/fleet/report.ts';
import { formatWorkload } from '../../lib/fleet/stored-workload.ts';
import type { StoredWorkload, WorkloadStore } from '../../lib/ports/index.ts';
import { monotonicClock, sleep } from '../../lib/util/clock.ts';
import { printJson } from './run-command.ts';
import { type Env, isInsideCluster } from './settings/environment.ts';
import { formatTable } from './terminal/format-table.ts';
import { count, listObjects, toObjects } from './terminal/list-objects.ts';
import type { ProgressDisplay } from './terminal/progress-display.ts';
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

export interface FleetRun extends Omit<ApplyToEachOptions, 'onStep' | 'print'> {
  readonly report: (
    storedWorkloads: readonly StoredWorkload[],
    options: ReportOptions,
  ) => Promise<Report> | Report;
  /** Why `storedWorkloads` are not all, one sentence each. */
  readonly unlisted?: readonly string[];
  /** Printed if the report has no row. */
  readonly empty: string;
  /** The command line that changes what the report lists. */
  readonly next: string;
  readonly display: ProgressDisplay;
}

interface ReportOptions {
  readonly signal: AbortSignal;
  readonly onStep: (checked: number, total: number) => void;
}

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

/**
 * Changes the workloads with `--apply`. Else prints a table, or with `--json` a document with one row for each image of each object.
 * Resolves with whether every workload was visited and nothing failed.
 */
export async function applyOrReport(
  { apply, json }: WorkloadFlags,
  { report, unlisted = [], empty, next, display, ...run }: FleetRun,
): Promise<boolean> {
  const { storedWorkloads, signal } = run;
  const { print } = display;
  if (apply) {
    const onStep = toSteps(display, 'workloads');
    const isDone = await applyToEach({ ...run, print, onStep });
    display.remove('workloads');
    for (const problem of unlisted) print(problem);
    return isDone && unlisted.length === 0;
  }
  const { rows, problems } = await report(storedWorkloads, {
    signal,
    // Lines of progress would be a part of the document.
    onStep: json ? () => undefined : toSteps(display, 'images'),
  });
  display.remove('images');
  const all = [...unlisted, ...problems];
  if (json) printJson({ rows, problems: all });
  else for (const line of rows.length === 0 ? [empty] : formatReport(rows, next)) print(line);
  if (!json) for (const problem of all) print(problem);
  return all.length === 0;
}

function toSteps(display: ProgressDisplay, what: string): ReportOptions['onStep'] {
  return (done, total) => display.step(what, { done, total });
}

/** A table with each image once, a summary and the command to type next. Images that were not checked are only counted. */
export function formatReport(rows: readonly ReportRow[], next: string): readonly string[] {
  const known = rows.filter(({ effect }) => effect !== 'unknown');
  const groups = Object.values(Object.groupBy(known, ({ image, what }) => `${image} ${what}`));
  const body = groups.flatMap((group = []) => {
    const [first] = group;
    return first === undefined ? [] : [[first.image || '-', listObjects(group), first.what]];
  });
  const counts = effectWords.flatMap(([effect, words]) => {
    const number = rows.filter((row) => row.effect === effect).length;
    return number === 0 && effect !== 'change' ? [] : [`${number} ${words}`];
  });
  const total = `${count(rows.length, 'image')} of ${count(toObjects(rows).length, 'workload')}`;
  const hasChanges = rows.some(({ effect }) => effect === 'change');
  return [
    ...(body.length === 0 ? [] : formatTable([['IMAGE', 'WORKLOADS', 'STATUS'], ...body])),
    `${total}: ${counts.join(', ')}${hasChanges ? `: ${next}` : ''}`,
  ];
}

const effectWords: readonly (readonly [Effect, string])[] = [
  ['change', 'to change'],
  ['problem', 'refused'],
  ['skipped', 'skipped'],
  ['unknown', 'not checked'],
];
