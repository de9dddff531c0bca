import { createBackfill } from '../../lib/fleet/backfill.ts';
import { listOptedIn } from '../../lib/fleet/list-workloads.ts';
import { parseSettings } from '../../lib/install/settings.ts';
import { toExcludedNamespaces } from '../../lib/install/webhook-configuration.ts';
import { openCopier } from '../shared/adapters/open-copier.ts';
import { allOrProblems, attempt } from '../shared/all-or-problems.ts';
import type { Arguments } from '../shared/command-line/index.ts';
import { applyOrReport, openFleet } from '../shared/fleet.ts';
import { createInterruptSignal } from '../shared/run-command.ts';
import { readInstalledEnv } from '../shared/settings/command-env.ts';
import { createStdoutDisplay } from '../shared/terminal/progress-display.ts';
import { toApplyCommand, toWorkloadFlags } from '../shared/workload-flags.ts';

const fieldManager = 'image-cloner-backfill';

export async function backfill(args: Arguments): Promise<boolean> {
  const env = await readInstalledEnv(args, process.env);
  const display = createStdoutDisplay();
  const flags = toWorkloadFlags(args);
  const [copier, settings] = await allOrProblems(flags.problems, [
    openCopier(env, display, { shared: args.switches.has('shared') }),
    attempt(() => parseSettings(env)),
  ]);
  const fleet = await openFleet({ env, flags, fieldManager, print: display.print });
  const signal = createInterruptSignal(copier.stop);
  const { name, namespace, workloads, labelValue } = settings;
  const excluded = [...toExcludedNamespaces(settings), ...copier.policy.excludedNamespaces];
  const { namespaces } = flags;
  const { store } = fleet;
  const backfill = createBackfill({
    ...fleet,
    policy: { ...copier.policy, excludedNamespaces: excluded, ownService: { name, namespace } },
    ensure: copier.ensureBackup,
    readsPullSecrets: copier.config.pullSecrets,
    newAnnotationValue: () => new Date().toISOString(),
    refresh: args.switches.has('refresh'),
  });
  const isDone = await applyOrReport(flags, {
    ...backfill,
    storedWorkloads: await listOptedIn({
      store,
      workloads,
      labelValue,
      namespaces,
      excluded,
      signal,
    }),
    empty: `no workload in an opted-in namespace: kubectl label namespace NAME image-cloner=${labelValue}`,
    next: toApplyCommand('backfill', args),
    display,
    signal,
  });
  if (!signal.aborted) await copier.finish();
  return isDone;
}
