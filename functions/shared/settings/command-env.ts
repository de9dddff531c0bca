import type { Env } from '../../../lib/config/values.ts';
import { ConfigError } from '../../../lib/errors.ts';
import type { Arguments } from '../command-line/index.ts';
import { isInsideCluster } from './environment.ts';
import { formatInstallation, openInstallation } from './installation.ts';

/** The environment with the settings of the installation that the command is about, which is printed to standard error first. */
export async function readInstalledEnv(
  { values, problems }: Pick<Arguments, 'values' | 'problems'>,
  env: Env,
): Promise<Env> {
  try {
    const settingsFile = values.get('settings');
    // A Job has its variables in its own manifest, and seldom the right to read others.
    const mayBeForbidden = isInsideCluster(env);
    const installation = await openInstallation({ env, settingsFile, mayBeForbidden });
    process.stderr.write(`${formatInstallation(installation)}\n`);
    return withoutPodValues(installation.resolved.env, env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError([...problems, ...error.problems]);
  }
}

/**
 * As `readInstalledEnv`, but only with `--installation`: what acts on a backup must not follow the kubeconfig's context by itself,
 * because that may be another cluster's.
 */
export async function readChosenEnv(args: Arguments, env: Env): Promise<Env> {
  const chosen = args.values.get('installation');
  if (chosen === undefined) return env;
  return await readInstalledEnv(args, { ...env, ...parseInstallation(chosen) });
}

/** `NAMESPACE/NAME`, `NAME`, or nothing for the default or for `NAMESPACE` and `NAME`. */
function parseInstallation(text: string): Env {
  if (text === '') return {};
  const [namespace, name, ...more] = text.split('/');
  if (namespace !== '' && name !== '' && more.length === 0) {
    return name === undefined ? { NAME: namespace } : { NAMESPACE: namespace, NAME: name };
  }
  throw new ConfigError([`--installation must be NAMESPACE/NAME, not ${JSON.stringify(text)}`]);
}

/** Paths and identities of the pods mean nothing on this machine. */
export function withoutPodValues(resolved: Env, own: Env): Env {
  return Object.fromEntries(
    Object.entries(resolved).map(([name, value]) => [name, isOfPods(name) ? own[name] : value]),
  );
}

function isOfPods(name: string): boolean {
  return name.endsWith('_FILE') || name === 'REGISTRY_AUTH';
}
