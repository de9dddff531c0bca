import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Config, parseConfig } from '../../lib/config/config.ts';
import type { Env } from '../../lib/config/values.ts';
import { ConfigError } from '../../lib/errors.ts';
import { toDockerConfig, toPullSecret } from '../../lib/install/pull-secret.ts';
import { parseSettings } from '../../lib/install/settings.ts';
import { formatYaml, parseYaml } from '../../lib/install/yaml.ts';
import { createCommandLogger, openBackupAccess } from '../shared/adapters/backup-access.ts';
import { allOrProblems, attempt } from '../shared/all-or-problems.ts';
import type { Arguments } from '../shared/command-line/index.ts';
import { withoutPodValues } from '../shared/settings/command-env.ts';
import { omitListenerVariables } from '../shared/settings/environment.ts';
import { readSettings } from '../shared/settings/installation.ts';

const rightsFile = join(import.meta.dirname, '../../knative/pull-secrets.yaml');

/**
 * Prints manifests for `kubectl apply` in a workload namespace: the permission to read its pull secrets and, if BACKUP_PULL_SECRET is set,
 * the Secret that its pods use to pull from the backup.
 */
export async function pullSecret(args: Arguments): Promise<boolean> {
  const settingsFile = args.values.get('settings');
  const { env: resolved } = await readSettings({ env: process.env, settingsFile });
  const env = withoutPodValues(resolved, process.env);
  const [config, { namespace }] = await allOrProblems(args.problems, [
    attempt(() => parseConfig(omitListenerVariables(env))),
    attempt(() => parseSettings(env)),
  ]);
  const rights = await readRights(namespace);
  const { backupPullSecret: name } = config;
  const secret = name === undefined ? [] : [formatYaml(await readSecret(name, config, env))];
  if (name === undefined) {
    process.stderr.write(
      'Note: BACKUP_PULL_SECRET is not set, so there is no Secret: only the right to read pull secrets\n',
    );
  }
  // One write, so that kubectl never applies a part.
  process.stdout.write([...rights, ...secret].join('---\n'));
  return true;
}

/** The ServiceAccounts of the webhook and of `verify` are in the namespace of the installation. */
async function readRights(namespace: string): Promise<readonly string[]> {
  const objects = parseYaml(await readFile(rightsFile, 'utf8'));
  for (const object of objects) {
    for (const subject of [0, 1]) {
      const path = ['subjects', subject];
      if (object.hasIn(path)) object.setIn([...path, 'namespace'], namespace);
    }
  }
  return objects.map((object) => String(object).replace(/^---\n/, ''));
}

/** The credentials of an identity end within hours, so they cannot be in a Secret. */
async function readSecret(
  name: string,
  config: Config,
  env: Env,
): Promise<ReturnType<typeof toPullSecret>> {
  const logger = createCommandLogger('warn');
  const { auth, credentials } = await openBackupAccess({ config, env, logger });
  const found = auth === 'file' ? await credentials() : undefined;
  if (found === undefined) {
    throw new ConfigError([
      `BACKUP_PULL_SECRET needs REGISTRY_AUTH=file: with REGISTRY_AUTH=${auth} there is no lasting password; let the nodes pull with their own role, and unset BACKUP_PULL_SECRET`,
    ]);
  }
  return toPullSecret(name, toDockerConfig(config.backup.domain, found));
}
