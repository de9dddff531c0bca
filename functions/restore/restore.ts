import { listAnnotated } from '../../lib/fleet/list-workloads.ts';
import {
  createRestore,
  createUndoRestore,
  restoreAnnotations,
  restoredAnnotation,
} from '../../lib/fleet/restore/index.ts';
import { allOrProblems } from '../shared/all-or-problems.ts';
import type { Arguments } from '../shared/command-line/index.ts';
import { applyOrReport, openFleet } from '../shared/fleet.ts';
import { createInterruptSignal } from '../shared/run-command.ts';
import { readSettings } from '../shared/settings/installation.ts';
import { createStdoutDisplay } from '../shared/terminal/progress-display.ts';
import { toApplyCommand, toWorkloadFlags } from '../shared/workload-flags.ts';

const fieldManager = 'image-cloner-restore';

export async function restore(args: Arguments): Promise<boolean> {
  const { env } = process;
  const flags = toWorkloadFlags(args);
  await allOrProblems(flags.problems, []);
  const { env: settings } = await readSettings({ env, settingsFile: undefined });
  const backupPullSecret = settings['BACKUP_PULL_SECRET'] ?? '';
  const display = createStdoutDisplay();
  const fleet = await openFleet({ env, flags, fieldManager, print: display.print });
  const signal = createInterruptSignal();
  const undoes = args.switches.has('undo');
  const { storedWorkloads, problems } = await listAnnotated({
    store: fleet.store,
    namespaces: flags.namespaces,
    annotations: undoes ? [restoredAnnotation] : restoreAnnotations,
    signal,
  });
  const visit = undoes
    ? createUndoRestore({ ...fleet, newAnnotationValue: () => new Date().toISOString() })
    : createRestore({
        ...fleet,
        fieldManager,
        ...(backupPullSecret !== '' && { backupPullSecret }),
      });
  return await applyOrReport(flags, {
    ...visit,
    storedWorkloads,
    unlisted: problems,
    empty: undoes ? 'no workload was restored' : 'no workload holds a copy',
    next: toApplyCommand('restore', args),
    display,
    signal,
  });
}
