import * as v from 'valibot';
import { parseAllDocuments } from 'yaml';
import { find, kubectl } from '../kubectl.ts';
import type { Manifests } from '../manifests/manifests.ts';
import { configMap, podList, secret, selectingService } from '../manifests/objects.ts';
import type { DeploySettings } from '../settings.ts';
import { findMissingKnative } from './knative-version.ts';
import { findObstacles } from './obstacles.ts';
import { findPredecessors } from './predecessor.ts';
import { findMissingRights } from './rights.ts';

/** What a look at the cluster found. */
export interface Examination {
  /** Each in one sentence that says how to mend it. */
  readonly missing: readonly string[];
  /** Nothing that stands in the way, but that a person should know. */
  readonly notes: readonly string[];
}

const hostPathFlag = 'kubernetes.podspec-volumes-hostpath';

/** Everything that the cluster lacks, all at once. It changes nothing. */
export async function examineCluster(
  settings: DeploySettings,
  manifests: Manifests,
): Promise<Examination> {
  const { code, stderr } = await kubectl(['get', '--raw', '/readyz']);
  if (code !== 0) return { missing: [`kubectl does not reach a cluster: ${stderr}`], notes: [] };
  const { install, variant } = settings;
  const checks = [
    findMissingRights(settings, manifests),
    findMissingKnative(settings),
    ...(install.wiring === 'gateway' ? [missingGateway(manifests.wiring, install.gateway)] : []),
    missingCredentials(settings),
    missingFiles(settings),
    ...(variant === 'docker' ? [missingHostPath()] : []),
    findObstacles(install),
  ];
  const notes = [findPredecessors(install), withoutPullSecret(settings)];
  const [found, said] = await Promise.all([
    // What may not be looked at is something that is missing, too.
    Promise.all(checks.map((check) => check.catch((error: unknown) => [toSentence(error)]))),
    Promise.all(notes.map((note) => note.catch(() => []))),
  ]);
  return { missing: found.flat(), notes: said.flat() };
}

function toSentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function missingGateway(wiring: string, gateway: string): Promise<readonly string[]> {
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
        `no pod with ${labels.join(',')} is ready in ${namespace}: install ${gateway}, set GATEWAY and SERVICE_NAMESPACE to where Knative's gateway is, or do without it with WIRING=direct`,
      ];
}

async function missingCredentials({
  install: { namespace },
}: DeploySettings): Promise<readonly string[]> {
  const data = await readSecret('registry-auth', namespace);
  const isThere = (key: string): boolean => (data[key] ?? '').trim() !== '';
  if (isThere('.dockerconfigjson')) return [];
  const lacking = ['username', 'password'].filter((key) => !isThere(key));
  if (lacking.length === 0) return [];
  const isSecret = Object.keys(data).length > 0;
  const create = [
    ...((await find('namespace', namespace)) === undefined
      ? [`kubectl create namespace ${namespace}`]
      : []),
    ...(isSecret ? [`kubectl -n ${namespace} delete secret registry-auth`] : []),
    `kubectl -n ${namespace} create secret generic registry-auth --from-file=username --from-file=password`,
  ];
  return [
    `the Secret registry-auth in ${namespace} must hold username and password of the backup registry (or .dockerconfigjson)${isSecret ? `; ${lacking.join(' and ')} ${lacking.length === 1 ? 'is' : 'are'} missing or empty` : ''}: ${create.join(' && ')}`,
  ];
}

async function missingFiles({
  files,
  install: { namespace },
}: DeploySettings): Promise<readonly string[]> {
  if (files.length === 0) return [];
  const data = await readSecret('image-cloner-files', namespace);
  const lacking = files.filter((key) => (data[key] ?? '') === '');
  return lacking.map(
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

async function missingHostPath(): Promise<readonly string[]> {
  const features = await find('configmap', 'config-features', '--namespace=knative-serving');
  const { data } = v.parse(configMap, features ?? {});
  return data[hostPathFlag] === 'enabled'
    ? []
    : [
        `the docker socket needs ${hostPathFlag}, which cannot safely be switched off again: kubectl -n knative-serving patch configmap config-features -p '{"data":{"${hostPathFlag}":"enabled"}}' (or CLONER=registry, which needs no socket)`,
      ];
}

const namespaceList = v.object({
  items: v.array(v.object({ metadata: v.object({ name: v.string() }) })),
});

/** Pods there would be sent to an image that they cannot pull. */
async function withoutPullSecret({ backupPullSecret }: DeploySettings): Promise<readonly string[]> {
  if (backupPullSecret === undefined) return [];
  const found = await find('namespaces', '--selector=image-cloner=enabled');
  const names = v.parse(namespaceList, found).items.map(({ metadata }) => metadata.name);
  const lacking = await Promise.all(
    names.map(async (name) =>
      (await find('secret', backupPullSecret, `--namespace=${name}`)) === undefined ? name : [],
    ),
  );
  return lacking
    .flat()
    .map(
      (name) =>
        `${name} has no Secret ${backupPullSecret}, without which its pods cannot pull from the backup: just pull-secret ${name}`,
    );
}
