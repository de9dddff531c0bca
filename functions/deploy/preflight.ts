import * as v from 'valibot';
import { parseAllDocuments } from 'yaml';
import type { InstallSettings } from '../../lib/install/settings.ts';
import { find, kubectl } from './kubectl.ts';
import type { Manifests } from './manifests.ts';
import { configMap, gatewayService, podList, secret } from './objects.ts';
import type { DeploySettings } from './settings.ts';

const kinds = [
  'services.serving.knative.dev',
  'domainmappings.serving.knative.dev',
  'clusterdomainclaims.networking.internal.knative.dev',
];
const hostPathFlag = 'kubernetes.podspec-volumes-hostpath';

/** Everything that the cluster lacks, each in one sentence that says how to mend it. It changes nothing. */
export async function findMissing(
  { install, variant, gateway }: DeploySettings,
  { wiring }: Manifests,
): Promise<readonly string[]> {
  const { code, stderr } = await kubectl(['get', '--raw', '/readyz']);
  if (code !== 0) return [`kubectl does not reach a cluster: ${stderr}`];
  const missing = await Promise.all([
    ...kinds.map(missingKind),
    missingGateway(wiring, gateway),
    missingCredentials(install),
    variant === 'docker' ? missingHostPath() : undefined,
  ]);
  return missing.filter((sentence) => sentence !== undefined);
}

async function missingKind(kind: string): Promise<string | undefined> {
  const crd = await find('customresourcedefinition', kind);
  return crd === undefined ? `${kind} is unknown here: install Knative Serving` : undefined;
}

async function missingGateway(wiring: string, gateway: string): Promise<string | undefined> {
  const service = parseAllDocuments(wiring).find((object) => object.get('kind') === 'Service');
  const namespace = String(service?.getIn(['metadata', 'namespace']));
  const { selector } = v.parse(gatewayService, service?.toJS()).spec;
  const labels = Object.entries(selector).map((pair) => pair.join('='));
  const { items } = v.parse(
    podList,
    await find('pods', `--namespace=${namespace}`, `--selector=${labels.join(',')}`),
  );
  const isReady = items.some(({ status }) =>
    status.conditions.some(({ type, status }) => type === 'Ready' && status === 'True'),
  );
  return isReady
    ? undefined
    : `no pod with ${labels.join(',')} is ready in ${namespace}: install ${gateway}, or set GATEWAY and SERVICE_NAMESPACE to where Knative's gateway is`;
}

async function missingCredentials({ namespace }: InstallSettings): Promise<string | undefined> {
  const found = await find('secret', 'registry-auth', `--namespace=${namespace}`);
  const { data } = v.parse(secret, found ?? {});
  const isComplete =
    '.dockerconfigjson' in data || ['username', 'password'].every((key) => key in data);
  if (isComplete) return undefined;
  const create = [
    ...((await find('namespace', namespace)) === undefined
      ? [`kubectl create namespace ${namespace}`]
      : []),
    `kubectl -n ${namespace} create secret generic registry-auth --from-file=username --from-file=password`,
  ];
  return `the Secret registry-auth in ${namespace} must hold username and password of the backup registry (or .dockerconfigjson): ${create.join(' && ')}`;
}

async function missingHostPath(): Promise<string | undefined> {
  const features = await find('configmap', 'config-features', '--namespace=knative-serving');
  const { data } = v.parse(configMap, features ?? {});
  return data[hostPathFlag] === 'enabled'
    ? undefined
    : `the docker socket needs ${hostPathFlag}, which cannot safely be switched off again: kubectl -n knative-serving patch configmap config-features -p '{"data":{"${hostPathFlag}":"enabled"}}' (or CLONER=registry, which needs no socket)`;
}
