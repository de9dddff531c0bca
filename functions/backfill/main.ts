import { ConfigError } from '../../lib/errors.ts';
import { applyToEach } from '../../lib/fleet/apply-to-each.ts';
import { createAwaitRollout } from '../../lib/fleet/await-rollout.ts';
import { createBackfill } from '../../lib/fleet/backfill.ts';
import { listOptedIn } from '../../lib/fleet/list-workloads.ts';
import { createRateLimiter } from '../../lib/fleet/rate-limiter.ts';
import { formatWorkload } from '../../lib/fleet/stored-workload.ts';
import { type InstallSettings, parseSettings } from '../../lib/install/settings.ts';
import { toExcludedNamespaces } from '../../lib/install/webhook-configuration.ts';
import { openWorkbench, sleep } from '../shared/open-copier.ts';
import { printReport } from '../shared/print-report.ts';
import { createDisplay } from '../shared/progress-display.ts';
import { readFleetFlags } from '../shared/workload-flags.ts';

const usage =
  'usage: backfill [--apply] [--refresh] [--rate OBJECTS-PER-MINUTE] [--rollout-timeout SECONDS | --no-wait] [NAMESPACE…]';

// The `debug` package, deep inside dockerode, prints whole requests, credentials included.
delete process.env['DEBUG'];

try {
  process.exit(await main());
} catch (error) {
  const problems = error instanceof ConfigError ? error.problems : [toSentence(error)];
  for (const problem of problems) process.stderr.write(`backfill: ${problem}\n`);
  process.exit(error instanceof ConfigError ? 2 : 1);
}

function now(): number {
  return performance.now();
}

async function main(): Promise<number> {
  const flags = readFleetFlags(process.argv.slice(2), { usage, hasRefresh: true });
  if (flags.asksForHelp) {
    process.stdout.write(`${usage}\n`);
    return 0;
  }
  const { env, stdout } = process;
  const display = createDisplay({
    write: (text) => stdout.write(text),
    columns: stdout.isTTY ? stdout.columns : undefined,
    now,
  });
  const { settings, problems } = readSettings();
  const bench = await openWorkbench({
    env,
    problems: [...flags.problems, ...problems],
    display,
    now,
  });
  const { openWorkloadStore } = await import('../../lib/adapters/kubernetes/index.ts');
  const store = openWorkloadStore({
    kubeconfig: env['KUBECONFIG'],
    insideCluster: env['KUBERNETES_SERVICE_HOST'] !== undefined,
    fieldManager: 'image-cloner-backfill',
    sleep,
  });

  const stopping = new AbortController();
  const { signal } = stopping;
  process.on('SIGINT', () => {
    if (signal.aborted) process.exit(1);
    process.stderr.write(
      'stopping; what is done stays done, and the next run goes on from there\n',
    );
    bench.stop();
    stopping.abort();
  });

  const { name, namespace } = settings;
  const { excludedNamespaces } = bench.policy;
  const excluded = [...toExcludedNamespaces(settings), ...excludedNamespaces];
  const policy = { ...bench.policy, excludedNamespaces: excluded, ownService: { name, namespace } };
  const { workloads } = settings;
  const { namespaces, perMinute, rolloutTimeoutMs, refresh } = flags;
  const backfill = createBackfill({
    store,
    policy,
    ensure: bench.ensure,
    rateLimiter: createRateLimiter({ perMinute, now, sleep }),
    ...(rolloutTimeoutMs !== undefined && {
      awaitRollout: createAwaitRollout({ store, now, sleep, timeoutMs: rolloutTimeoutMs }),
    }),
    newAnnotationValue: () => new Date().toISOString(),
    refresh,
    onProgress: (stored, text) =>
      display.line(`${stored.namespace} ${formatWorkload(stored)}: ${text}`),
  });
  const storedWorkloads = await listOptedIn({ store, workloads, namespaces, excluded, signal });
  if (!flags.apply) {
    await printReport({
      storedWorkloads,
      report: backfill.report,
      print: display.line,
      empty:
        'no workload in an opted-in namespace: kubectl label namespace NAME image-cloner=enabled',
      signal,
    });
    return 0;
  }
  const isWell = await applyToEach({
    storedWorkloads,
    apply: backfill.apply,
    print: display.line,
    signal,
  });
  return isWell ? 0 : 1;
}

/** What `just gen` was told, so that the same objects are meant. */
function readSettings(): { settings: InstallSettings; problems: readonly string[] } {
  try {
    return { settings: parseSettings(process.env), problems: [] };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { settings: parseSettings({}), problems: error.problems };
  }
}

function toSentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
