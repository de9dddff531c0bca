import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isCloud } from '../../lib/config/registry-auth.ts';
import { ConfigError } from '../../lib/errors.ts';
import {
  addFormerBackup,
  describeChange,
  diffSettings,
  isRemoval,
  type ResolvedSettings,
} from '../../lib/install/record/index.ts';
import type { InstallSettings } from '../../lib/install/settings.ts';
import { toSentence } from '../shared/run-command.ts';
import { formatInstallation, type Installation } from '../shared/settings/installation.ts';
import { chooseCertificate } from './certificates/index.ts';
import { find, findObject } from './kubectl.ts';
import { type Manifests, readManifests } from './manifests/index.ts';
import { serviceAccountObject } from './objects.ts';
import { checkCluster } from './preflight/index.ts';
import { withRegistryAuth } from './registry-auth.ts';
import { type DeploySettings, parseDeploySettings, withRecorded } from './settings.ts';
import { type Step, toSteps } from './steps.ts';

export interface DeployOptions {
  readonly print: (line: string) => void;
  /** Asks before a setting that is in force is removed. */
  readonly confirm: (question: string) => Promise<boolean>;
}

/**
 * Installs everything; the webhook configuration comes last, so that no write waits for a webhook that is not ready.
 * Changes nothing if the preflight fails, and nothing if everything is installed already.
 */
export async function deploy(
  installation: Installation,
  { print, confirm }: DeployOptions,
): Promise<boolean> {
  print(formatInstallation(installation));
  const { resolved } = installation;
  const given = await withDerivedSettings(parseDeploySettings(resolved), resolved, print);
  const settings = { ...given, imagePullSecrets: await readPullSecrets(given.install) };
  const manifests = await checkDeployment(settings, print);
  if (!(await agree(resolved, settings, { print, confirm }))) {
    print('Nothing was changed.');
    return false;
  }
  // Not before the question: it may have been open while a renewal ran.
  const certificate = await chooseCertificate(settings.install);
  await runSteps(toSteps({ settings, manifests, certificate }, print), settings, print);
  const { name, labelValue } = settings.install;
  print('');
  print(`The webhook reviews workloads in namespaces with the label image-cloner=${labelValue}:`);
  print(`  kubectl label namespace NAMESPACE image-cloner=${labelValue}`);
  print(`To remove it: just undeploy; in an emergency: ${toEmergencyCommand(name)}`);
  return true;
}

/** Adds settings that are decided once, and must then stay as they are. */
async function withDerivedSettings(
  given: DeploySettings,
  resolved: ResolvedSettings,
  print: DeployOptions['print'],
): Promise<DeploySettings> {
  const settings = await withRegistryAuth(given, resolved);
  const { registryAuth: auth, install } = settings;
  if (given.registryAuth === 'auto' && isCloud(auth)) {
    print(
      `Note: REGISTRY_AUTH=auto means ${auth} here; it is recorded and stays so until you set it`,
    );
  }
  const former = addFormerBackup(resolved.deployed, settings.record);
  return withRecorded(settings, {
    ...(former !== undefined && { FORMER_BACKUPS: former }),
    LABEL_VALUE: install.labelValue,
    // Private copies in the backup belong to this id.
    CLUSTER_ID: settings.record['CLUSTER_ID'] ?? (await readClusterId(install.outDir)),
  });
}

/** Pods with another ServiceAccount than the webhook's need them too. */
async function readPullSecrets({ namespace }: InstallSettings): Promise<readonly string[]> {
  const own = `--namespace=${namespace}`;
  const account = await findObject(serviceAccountObject, 'serviceaccount', 'image-cloner', own)
    // The preflight reports a missing cluster or permission.
    .catch(() => undefined);
  return (account?.imagePullSecrets ?? []).map(({ name }) => name).filter((name) => name !== '');
}

/** The id that `just gen` created, if it ran here before. */
async function readClusterId(outDir: string): Promise<string> {
  const text = await readFile(join(outDir, 'cluster-id'), 'utf8').catch(() => '');
  return text.trim() || randomUUID();
}

/** Rejects with `ConfigError` that lists everything that is missing. */
async function checkDeployment(
  settings: DeploySettings,
  print: DeployOptions['print'],
): Promise<Manifests> {
  const manifests = await readManifests(settings);
  const [certificate, { problems, notes }] = await Promise.all([
    chooseCertificate(settings.install).catch(toConfigError),
    checkCluster(settings, manifests),
  ]);
  if (certificate instanceof ConfigError || problems.length > 0) {
    const missing = certificate instanceof ConfigError ? certificate.problems : [];
    throw new ConfigError([...missing, ...problems, 'nothing was changed']);
  }
  for (const note of notes) print(`Note: ${note}`);
  return manifests;
}

/** Prints what changes and what stays; asks if a change removes what is in force. */
async function agree(
  { deployed, kept }: ResolvedSettings,
  { record }: DeploySettings,
  { print, confirm }: DeployOptions,
): Promise<boolean> {
  const changes = diffSettings(deployed, record);
  for (const change of changes) print(`  ${describeChange(change)}`);
  const same = kept.filter((name) => record[name] === deployed[name]);
  if (same.length > 0) print(`  kept: ${same.map((name) => `${name}=${record[name]}`).join(' ')}`);
  const removed = changes.filter(isRemoval).map(({ name }) => name);
  if (removed.length === 0) return true;
  return await confirm(`This removes settings that are in force (${removed.join(', ')}). Go on?`);
}

async function runSteps(
  steps: readonly Step[],
  { install }: DeploySettings,
  print: DeployOptions['print'],
): Promise<void> {
  const done: string[] = [];
  for (const { what, run } of steps) {
    print(`== ${what}`);
    try {
      const output = (await run()).trim();
      if (output !== '') print(output);
    } catch (error) {
      throw new Error(await toReport(what, error, done, install.name), { cause: error });
    }
    done.push(what);
  }
}

async function toReport(
  what: string,
  error: unknown,
  done: readonly string[],
  name: string,
): Promise<string> {
  const registered = await find('mutatingwebhookconfiguration', name).catch(() => undefined);
  return [
    `${what}: ${toSentence(error)}`,
    `Completed steps: ${done.length === 0 ? 'none' : done.join(', ')}.`,
    registered === undefined
      ? 'The webhook is not registered: no write in the cluster waits for it.'
      : `The webhook was registered before and still is. If it rejects writes: ${toEmergencyCommand(name)}`,
    'Fix the cause and run "just deploy" again, or remove everything with "just undeploy".',
  ].join('\n');
}

function toEmergencyCommand(name: string): string {
  return `kubectl delete mutatingwebhookconfiguration ${name}`;
}

/** For example, the user may not read the Secret. */
function toConfigError(error: unknown): ConfigError {
  return error instanceof ConfigError ? error : new ConfigError([toSentence(error)]);
}
