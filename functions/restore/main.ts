import { openRegistryAuth } from '../../lib/adapters/credentials/registry-auth.ts';
import { createLogger } from '../../lib/adapters/log.ts';
import { toBackupNamespace } from '../../lib/config/backup-registry.ts';
import { type Config, parseConfig } from '../../lib/config/config.ts';
import { applyToEach } from '../../lib/fleet/apply-to-each.ts';
import { createAwaitRollout } from '../../lib/fleet/await-rollout.ts';
import { listAll } from '../../lib/fleet/list-workloads.ts';
import { createRateLimiter } from '../../lib/fleet/rate-limiter.ts';
import { createRestore } from '../../lib/fleet/restore.ts';
import { formatWorkload } from '../../lib/fleet/stored-workload.ts';
import type { BackupLocation } from '../../lib/index.ts';
import { parseSettings } from '../../lib/install/settings.ts';
import { monotonicClock } from '../../lib/util/clock.ts';
import { allOrProblems, attempt } from '../shared/all-or-problems.ts';
import type { Arguments } from '../shared/arguments.ts';
import { isInsideCluster, omitListenerVariables } from '../shared/environment.ts';
import { printReport } from '../shared/print-report.ts';
import { createStdoutDisplay } from '../shared/progress-display.ts';
import { createInterruptSignal, runCommand, sleep } from '../shared/run-command.ts';
import { toWorkloadFlags, workloadFlags } from '../shared/workload-flags.ts';

const fieldManager = 'image-cloner-restore';

await runCommand('restore', {
  usage:
    'usage: restore [--apply] [--rate OBJECTS-PER-MINUTE] [--rollout-timeout SECONDS | --no-wait] [NAMESPACE…]',
  flags: workloadFlags,
  maxPositionals: Number.POSITIVE_INFINITY,
  run: restore,
});

async function restore(args: Arguments): Promise<boolean> {
  const { env } = process;
  const { now } = monotonicClock;
  const { problems, namespaces, apply, perMinute, rolloutTimeoutMs } = toWorkloadFlags(args);
  const [config, settings] = await allOrProblems(problems, [
    attempt(() => parseConfig(omitListenerVariables(env))),
    attempt(() => parseSettings(env)),
  ]);
  const backup = await locateBackup(config);
  const { print } = createStdoutDisplay();
  const { openWorkloadStore } = await import('../../lib/adapters/kubernetes/index.ts');
  const insideCluster = isInsideCluster(env);
  const kubeconfig = env['KUBECONFIG'];
  const store = openWorkloadStore({ kubeconfig, insideCluster, fieldManager, sleep });
  const signal = createInterruptSignal();
  const { backupPullSecret } = config;
  const { workloads } = settings;
  const { report, apply: applyOne } = createRestore({
    store,
    backup,
    fieldManager,
    arePodsReviewed: workloads.includes('pods'),
    ...(backupPullSecret !== undefined && { backupPullSecret }),
    rateLimiter: createRateLimiter({ perMinute, now, sleep }),
    ...(rolloutTimeoutMs !== undefined && {
      awaitRollout: createAwaitRollout({ store, now, sleep, timeoutMs: rolloutTimeoutMs }),
    }),
    onProgress: (stored, text) => print(`${stored.namespace} ${formatWorkload(stored)}: ${text}`),
  });
  const storedWorkloads = await listAll({ store, workloads, namespaces, signal });
  if (apply) {
    return await applyToEach({ storedWorkloads, apply: applyOne, print, signal });
  }
  await printReport({
    storedWorkloads,
    report: (stored) => Promise.resolve(report(stored)),
    print,
    empty: 'no workload uses an image of the backup',
    signal,
  });
  return true;
}

/** Sends no request: the username is a part of the location only if no namespace is set. */
async function locateBackup({ backup, naming, registryAuthDir }: Config): Promise<BackupLocation> {
  const { domain, namespace } = backup;
  const logger = createLogger({
    level: 'error',
    format: 'pretty',
    write: (line) => process.stderr.write(line),
  });
  const username =
    namespace ??
    (await (await openRegistryAuth({ dir: registryAuthDir, registry: backup, logger }))()).username;
  return { domain, namespace: toBackupNamespace(backup, username), naming };
}
