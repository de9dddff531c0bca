import * as v from 'valibot';
import { parseAllDocuments } from 'yaml';
import { toSentence } from '../../shared/run-command.ts';
import { find, kubectl } from '../kubectl.ts';
import { type Manifests, objectList, secret, selectingService } from '../manifests/index.ts';
import type { DeploySettings } from '../settings.ts';
import { findConflicts, findOtherInstallations } from './conflicts.ts';
import { findMissingKnative } from './knative-version.ts';
import { findMissingPermissions } from './permissions.ts';

/** One sentence each, with the fix. */
export interface PreflightResult {
  readonly problems: readonly string[];
  /** Findings that do not stop a deployment. */
  readonly notes: readonly string[];
}

const configMap = v.object({ data: v.optional(v.record(v.string(), v.string()), {}) });

const podList = v.object({
  items: v.array(
    v.object({
      status: v.optional(
        v.object({
          conditions: v.optional(v.array(v.object({ type: v.string(), status: v.string() })), []),
        }),
        { conditions: [] },
      ),
    }),
  ),
});

const hostPathFlag = 'kubernetes.podspec-volumes-hostpath';

/** Finds everything that the cluster lacks, all at once. Changes nothing. */
export async function checkCluster(
  settings: DeploySettings,
  manifests: Manifests,
): Promise<PreflightResult> {
  const { code, stderr } = await kubectl(['get', '--raw', '/readyz']);
  if (code !== 0) return { problems: [`kubectl cannot reach a cluster: ${stderr}`], notes: [] };
  const { install, variant } = settings;
  const checks = [
    findMissingPermissions(settings, manifests),
    findMissingKnative(settings),
    ...(install.wiring === 'gateway'
      ? [findMissingGateway(manifests.wiring, install.gateway)]
      : []),
    findMissingCredentials(settings),
    findMissingFiles(settings),
    ...(variant === 'docker' ? [findMissingHostPath()] : []),
    findConflicts(install),
  ];
  const hints = [findOtherInstallations(install), findMissingPullSecrets(settings)];
  const [problems, notes] = await Promise.all([
    // An object that cannot be read counts as a problem.
    Promise.all(checks.map((check) => check.catch((error: unknown) => [toSentence(error)]))),
    Promise.all(hints.map((hint) => hint.catch(() => []))),
  ]);
  return { problems: problems.flat(), notes: notes.flat() };
}

async function findMissingGateway(wiring: string, gateway: string): Promise<readonly string[]> {
  const service = parseAllDocuments(wiring).find((object) => object.get('kind') === 'Service');
  const namespace = String(service?.getIn(['metadata', 'namespace']));
  const { selector } = v.parse(selectingService, service?.toJS()).spec;
  const labels = Object.entries(selector).map((pair) => pair.join('='));
  const { items } = v.parse(
    podList,
    await find('pods', `--namespace=${namespace}`, `--selector=${labels.join(',')}`),
  );
  const isReady = items.some(({ status }) =>
    status.conditions.some(({ type, status }) => type === 'Ready' && status === 'True'),
  );
  return isReady
    ? []
    : [
        `no pod with ${labels.join(',')} is ready in ${namespace}: install ${gateway}, set GATEWAY and SERVICE_NAMESPACE to where Knative's gateway is, or set WIRING=direct, which needs no gateway`,
      ];
}

async function findMissingCredentials({
  install: { namespace },
}: DeploySettings): Promise<readonly string[]> {
  const data = await readSecret('registry-auth', namespace);
  const has = (key: string): boolean => (data[key] ?? '').trim() !== '';
  if (has('.dockerconfigjson')) return [];
  const missing = ['username', 'password'].filter((key) => !has(key));
  if (missing.length === 0) return [];
  const isSecret = Object.keys(data).length > 0;
  const create = [
    ...((await find('namespace', namespace)) === undefined
      ? [`kubectl create namespace ${namespace}`]
      : []),
    ...(isSecret ? [`kubectl -n ${namespace} delete secret registry-auth`] : []),
    `kubectl -n ${namespace} create secret generic registry-auth --from-file=username --from-file=password`,
  ];
  return [
    `the Secret registry-auth in ${namespace} must hold username and password of the backup registry (or .dockerconfigjson)${isSecret ? `; ${missing.join(' and ')} ${missing.length === 1 ? 'is' : 'are'} missing or empty` : ''}: ${create.join(' && ')}`,
  ];
}

async function findMissingFiles({
  files,
  install: { namespace },
}: DeploySettings): Promise<readonly string[]> {
  if (files.length === 0) return [];
  const data = await readSecret('image-cloner-files', namespace);
  const missing = files.filter((key) => (data[key] ?? '') === '');
  return missing.map(
    (key) =>
      `the Secret image-cloner-files in ${namespace} has no ${key}, which the configuration names: kubectl -n ${namespace} create secret generic image-cloner-files --from-file=${key}=PATH`,
  );
}

async function readSecret(
  name: string,
  namespace: string,
): Promise<Readonly<Record<string, string>>> {
  return v.parse(secret, (await find('secret', name, `--namespace=${namespace}`)) ?? {}).data;
}

async function findMissingHostPath(): Promise<readonly string[]> {
  const features = await find('configmap', 'config-features', '--namespace=knative-serving');
  const { data } = v.parse(configMap, features ?? {});
  return data[hostPathFlag] === 'enabled'
    ? []
    : [
        `the docker socket needs ${hostPathFlag}, which cannot be disabled safely later: kubectl -n knative-serving patch configmap config-features -p '{"data":{"${hostPathFlag}":"enabled"}}' (or set CLONER=registry, which needs no socket)`,
      ];
}

/** Without the pull secret, the webhook would rewrite pods to images that they cannot pull. */
async function findMissingPullSecrets({
  backupPullSecret,
}: DeploySettings): Promise<readonly string[]> {
  if (backupPullSecret === undefined) return [];
  const namespaces = await find('namespaces', '--selector=image-cloner=enabled');
  const names = v.parse(objectList, namespaces).items.map(({ metadata }) => metadata.name);
  const missing = await Promise.all(
    names.map(async (name) =>
      (await find('secret', backupPullSecret, `--namespace=${name}`)) === undefined ? name : [],
    ),
  );
  return missing
    .flat()
    .map(
      (name) =>
        `the namespace ${name} has no Secret ${backupPullSecret}, so its pods cannot pull from the backup: just pull-secret ${name}`,
    );
}
