import { openRegistryAuth } from '../../lib/adapters/credentials/registry-auth.ts';
import { createLogger } from '../../lib/adapters/log.ts';
import { toBackupNamespace } from '../../lib/config/backup-registry.ts';
import { type Config, parseConfig } from '../../lib/config/config.ts';
import { ConfigError } from '../../lib/errors.ts';
import { applyToEach } from '../../lib/fleet/apply-to-each.ts';
import { createAwaitRollout } from '../../lib/fleet/await-rollout.ts';
import { listAll } from '../../lib/fleet/list-workloads.ts';
import { createRateLimiter } from '../../lib/fleet/rate-limiter.ts';
import { createRestore } from '../../lib/fleet/restore.ts';
import { formatWorkload } from '../../lib/fleet/stored-workload.ts';
import type { BackupLocation } from '../../lib/index.ts';
import { type InstallSettings, parseSettings } from '../../lib/install/settings.ts';
import { withoutListener } from '../shared/environment.ts';
import { sleep } from '../shared/open-copier.ts';
import { printReport } from '../shared/print-report.ts';
import { createDisplay } from '../shared/progress-display.ts';
import { readFleetFlags } from '../shared/workload-flags.ts';

const usage =
  'usage: restore [--apply] [--rate OBJECTS-PER-MINUTE] [--rollout-timeout SECONDS | --no-wait] [NAMESPACE…]';
const fieldManager = 'image-cloner-restore';

try {
  process.exit(await main());
} catch (error) {
  const problems = error instanceof ConfigError ? error.problems : [toSentence(error)];
  for (const problem of problems) process.stderr.write(`restore: ${problem}\n`);
  process.exit(error instanceof ConfigError ? 2 : 1);
}

async function main(): Promise<number> {
  const flags = readFleetFlags(process.argv.slice(2), { usage, hasRefresh: false });
  const { env, stdout } = process;
  if (flags.asksForHelp) {
    stdout.write(`${usage}\n`);
    return 0;
  }
  const { config, settings } = readVariables(flags.problems);
  const backup = await locateBackup(config);
  const display = createDisplay({
    write: (text) => stdout.write(text),
    columns: stdout.isTTY ? stdout.columns : undefined,
    now,
  });
  const { openWorkloadStore } = await import('../../lib/adapters/kubernetes/index.ts');
  const insideCluster = env['KUBERNETES_SERVICE_HOST'] !== undefined;
  const kubeconfig = env['KUBECONFIG'];
  const store = openWorkloadStore({ kubeconfig, insideCluster, fieldManager, sleep });

  const stopping = new AbortController();
  const { signal } = stopping;
  process.on('SIGINT', () => {
    if (signal.aborted) process.exit(1);
    process.stderr.write(
      'stopping; what is done stays done, and the next run goes on from there\n',
    );
    stopping.abort();
  });

  const { namespaces, perMinute, rolloutTimeoutMs } = flags;
  const { backupPullSecret } = config;
  const { workloads } = settings;
  const restore = createRestore({
    store,
    backup,
    fieldManager,
    arePodsReviewed: workloads.includes('pods'),
    ...(backupPullSecret !== undefined && { backupPullSecret }),
    rateLimiter: createRateLimiter({ perMinute, now, sleep }),
    ...(rolloutTimeoutMs !== undefined && {
      awaitRollout: createAwaitRollout({ store, now, sleep, timeoutMs: rolloutTimeoutMs }),
    }),
    onProgress: (stored, text) =>
      display.line(`${stored.namespace} ${formatWorkload(stored)}: ${text}`),
  });
  const storedWorkloads = await listAll({ store, workloads, namespaces, signal });
  if (!flags.apply) {
    await printReport({
      storedWorkloads,
      report: (stored) => Promise.resolve(restore.report(stored)),
      print: display.line,
      empty: 'no workload holds a copy',
      signal,
    });
    return 0;
  }
  return (await applyToEach({ storedWorkloads, apply: restore.apply, print: display.line, signal }))
    ? 0
    : 1;
}

function now(): number {
  return performance.now();
}

/** What the webhook and `just gen` were told, so that the same copies and the same kinds are meant. */
function readVariables(problems: readonly string[]): {
  readonly config: Config;
  readonly settings: InstallSettings;
} {
  const all = new Set(problems);
  const attempt = <Result>(read: () => Result): Result | undefined => {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      for (const problem of error.problems) all.add(problem);
      return undefined;
    }
  };
  const config = attempt(() => parseConfig(withoutListener(process.env)));
  const settings = attempt(() => parseSettings(process.env));
  if (config === undefined || settings === undefined || all.size > 0) {
    throw new ConfigError([...all]);
  }
  return { config, settings };
}

/** No registry is asked: of the credentials only the username is of interest, and that only where no namespace is set. */
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

function toSentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
