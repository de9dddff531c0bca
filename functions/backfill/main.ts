import { applyToEach } from '../../lib/fleet/apply-to-each.ts';
import { createAwaitRollout } from '../../lib/fleet/await-rollout.ts';
import { createBackfill } from '../../lib/fleet/backfill.ts';
import { listOptedIn } from '../../lib/fleet/list-workloads.ts';
import { createRateLimiter } from '../../lib/fleet/rate-limiter.ts';
import { formatWorkload } from '../../lib/fleet/stored-workload.ts';
import { parseSettings } from '../../lib/install/settings.ts';
import { toExcludedNamespaces } from '../../lib/install/webhook-configuration.ts';
import { monotonicClock } from '../../lib/util/clock.ts';
import { allOrProblems, attempt } from '../shared/all-or-problems.ts';
import type { Arguments } from '../shared/arguments.ts';
import { isInsideCluster } from '../shared/environment.ts';
import { openCopier } from '../shared/open-copier.ts';
import { printReport } from '../shared/print-report.ts';
import { createStdoutDisplay } from '../shared/progress-display.ts';
import { createInterruptSignal, runCommand, sleep } from '../shared/run-command.ts';
import { toWorkloadFlags, workloadFlags } from '../shared/workload-flags.ts';

await runCommand('backfill', {
  usage:
    'usage: backfill [--apply] [--refresh] [--rate OBJECTS-PER-MINUTE] [--rollout-timeout SECONDS | --no-wait] [NAMESPACE…]',
  flags: { ...workloadFlags, refresh: 'boolean' },
  maxPositionals: Number.POSITIVE_INFINITY,
  run: backfill,
});

async function backfill(args: Arguments): Promise<boolean> {
  const { env } = process;
  const { now } = monotonicClock;
  const display = createStdoutDisplay();
  const { problems, namespaces, apply, perMinute, rolloutTimeoutMs } = toWorkloadFlags(args);
  const [copier, settings] = await allOrProblems(problems, [
    openCopier({ env, display }),
    attempt(() => parseSettings(env)),
  ]);
  const { openWorkloadStore } = await import('../../lib/adapters/kubernetes/index.ts');
  const store = openWorkloadStore({
    kubeconfig: env['KUBECONFIG'],
    insideCluster: isInsideCluster(env),
    fieldManager: 'image-cloner-backfill',
    sleep,
  });
  const signal = createInterruptSignal(copier.stop);
  const { name, namespace, workloads } = settings;
  const excluded = [...toExcludedNamespaces(settings), ...copier.policy.excludedNamespaces];
  const { report, apply: applyOne } = createBackfill({
    store,
    policy: { ...copier.policy, excludedNamespaces: excluded, ownService: { name, namespace } },
    ensure: copier.ensureBackup,
    rateLimiter: createRateLimiter({ perMinute, now, sleep }),
    ...(rolloutTimeoutMs !== undefined && {
      awaitRollout: createAwaitRollout({ store, now, sleep, timeoutMs: rolloutTimeoutMs }),
    }),
    newAnnotationValue: () => new Date().toISOString(),
    refresh: args.switches.has('refresh'),
    onProgress: (stored, text) =>
      display.print(`${stored.namespace} ${formatWorkload(stored)}: ${text}`),
  });
  const storedWorkloads = await listOptedIn({ store, workloads, namespaces, excluded, signal });
  const { print } = display;
  if (apply) {
    return await applyToEach({ storedWorkloads, apply: applyOne, print, signal });
  }
  const empty =
    'no workload in an opted-in namespace: kubectl label namespace NAME image-cloner=enabled';
  await printReport({ storedWorkloads, report, print, empty, signal });
  return true;
}
