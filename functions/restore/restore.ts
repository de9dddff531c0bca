import { type Config, parseConfig } from '../../lib/config/config.ts';
import { listAll } from '../../lib/fleet/list-workloads.ts';
import { createRestore } from '../../lib/fleet/restore.ts';
import type { BackupLocation } from '../../lib/index.ts';
import { parseSettings } from '../../lib/install/settings.ts';
import { allOrProblems, attempt } from '../shared/all-or-problems.ts';
import {
  createCommandLogger,
  openBackupAccess,
  toBackupLocation,
} from '../shared/backup-access.ts';
import type { Arguments } from '../shared/command-line/index.ts';
import { omitListenerVariables } from '../shared/environment.ts';
import { applyOrReport, openFleet } from '../shared/fleet.ts';
import { createStdoutDisplay } from '../shared/progress-display.ts';
import { createInterruptSignal } from '../shared/run-command.ts';
import { toApplyCommand, toWorkloadFlags } from '../shared/workload-flags.ts';

const fieldManager = 'image-cloner-restore';

export async function restore(args: Arguments): Promise<boolean> {
  const { env } = process;
  const flags = toWorkloadFlags(args);
  const [config, { workloads }] = await allOrProblems(flags.problems, [
    attempt(() => parseConfig(omitListenerVariables(env))),
    attempt(() => parseSettings(env)),
  ]);
  const { backupPullSecret } = config;
  const backup = await locateBackup(config);
  const { print } = createStdoutDisplay();
  const fleet = await openFleet({ env, flags, fieldManager, print });
  const signal = createInterruptSignal();
  const { namespaces } = flags;
  const { store } = fleet;
  const restore = createRestore({
    ...fleet,
    backup,
    fieldManager,
    arePodsReviewed: workloads.includes('pods'),
    ...(backupPullSecret !== undefined && { backupPullSecret }),
  });
  return await applyOrReport(flags, {
    ...restore,
    storedWorkloads: await listAll({ store, workloads, namespaces, signal }),
    empty: 'no workload uses an image of the backup',
    next: toApplyCommand('restore', args),
    print,
    signal,
  });
}

/** Sends no request: the username is a part of the location only if no namespace is set. */
async function locateBackup(config: Config): Promise<BackupLocation> {
  if (config.backup.namespace !== undefined) return toBackupLocation(config, '');
  const { env } = process;
  const logger = createCommandLogger('error');
  const { username } = await openBackupAccess({ config, env, logger });
  return toBackupLocation(config, username);
}
