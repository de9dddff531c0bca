import { readFile } from 'node:fs/promises';
import { parseEnv } from 'node:util';
import type { Env } from '../../../lib/config/values.ts';
import { ConfigError } from '../../../lib/errors.ts';
import {
  inferSettings,
  type ResolvedSettings,
  recordName,
  resolveSettings,
} from '../../../lib/install/record/index.ts';
import { parseSelection } from '../../../lib/install/settings.ts';
import { isInsideCluster } from './environment.ts';

/** One installation of a cluster, and the settings that apply to it. */
export interface Installation {
  readonly context: string;
  readonly name: string;
  readonly namespace: string;
  /** Whether the cluster has nothing of it. */
  readonly isNew: boolean;
  readonly resolved: ResolvedSettings;
}

/** Variables of this process, and the argument of `--settings`. */
export interface InstallationOptions {
  readonly env: Env;
  readonly settingsFile: string | undefined;
  /** Goes on without the settings that the user may not read; for a command that reports all missing permissions itself. */
  readonly mayBeForbidden?: boolean;
}

/** Reads what is deployed, and decides which settings apply. Rejects with `ConfigError` that lists every problem. */
export async function openInstallation({
  env,
  settingsFile,
  mayBeForbidden = false,
}: InstallationOptions): Promise<Installation> {
  const file = settingsFile === undefined ? {} : await readSettingsFile(settingsFile);
  const { name, namespace } = parseSelection({ ...file, ...env });
  const { readInstallation } = await import('../../../lib/adapters/kubernetes/index.ts');
  const { context, forbidden, record, ...live } = await readInstallation(
    { kubeconfig: env['KUBECONFIG'], insideCluster: isInsideCluster(env) },
    { name, namespace, record: recordName(name) },
  );
  if (forbidden.length > 0 && !mayBeForbidden) {
    throw new ConfigError(
      forbidden.map(
        (what) => `no permission to get the ${what}, which has settings of the installation`,
      ),
    );
  }
  const deployed = record ?? inferSettings(live, { name, namespace });
  const resolved = resolveSettings({ env, file, ...(deployed !== undefined && { deployed }) });
  return { context, name, namespace, isNew: deployed === undefined, resolved };
}

/** The settings for a command that also works without a cluster: then those of the environment and the file, with a note. */
export async function readSettings(options: InstallationOptions): Promise<ResolvedSettings> {
  const { env, settingsFile } = options;
  const file = settingsFile === undefined ? {} : await readSettingsFile(settingsFile);
  const local = resolveSettings({ env, file });
  try {
    const installation = await openInstallation(options);
    process.stderr.write(`${formatInstallation(installation)}\n`);
    return installation.resolved;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`Note: ${error.problems.join('; ')}: only the environment counts\n`);
    return local;
  }
}

/** Printed before a command acts, so that a wrong context is seen in time. */
export function formatInstallation({ context, namespace, name, isNew }: Installation): string {
  return `context ${context}, installation ${namespace}/${name}${isNew ? ' (new)' : ''}`;
}

/** A file with one NAME=value per line, as in `.env` files. */
async function readSettingsFile(path: string): Promise<Env> {
  try {
    return parseEnv(await readFile(path, 'utf8'));
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    throw new ConfigError([
      `the settings file ${path} cannot be read (${code}): it must have one NAME=value per line`,
    ]);
  }
}
