import {
  AdmissionregistrationV1Api,
  type ConfigurationOptions,
  CoreV1Api,
  CustomObjectsApi,
} from '@kubernetes/client-node';
import { ConfigError } from '../../errors.ts';
import { createApiCall } from './api-call.ts';
import { type KubectlConfigSettings, loadKubectlConfig } from './kubeconfig.ts';

/** What the cluster has of one installation. */
export interface FoundInstallation {
  /** The context of the kubeconfig. */
  readonly context: string;
  /** Data of the ConfigMap; absent if it does not exist. */
  readonly record?: Readonly<Record<string, string>>;
  /** Objects that the user may not read; what they hold is not known. */
  readonly forbidden: readonly string[];
  /** JSON, read only if there is no ConfigMap; `undefined` if the object does not exist. */
  readonly service?: unknown;
  readonly webhook?: unknown;
  readonly serviceAccount?: unknown;
}

export interface InstallationQuery {
  readonly name: string;
  readonly namespace: string;
  /** Name of the ConfigMap. */
  readonly record: string;
}

/** Enough for a slow API server, and short enough for a person who waits. */
const timeoutMs = 10_000;

/** Reads an installation from the cluster that kubectl uses. Rejects with `ConfigError` if there is no cluster or no answer. */
export async function readInstallation(
  settings: KubectlConfigSettings,
  { name, namespace, record }: InstallationQuery,
): Promise<FoundInstallation> {
  const config = loadKubectlConfig(settings);
  const callApi = createApiCall();
  const forbidden: string[] = [];
  const read = async <Found>(
    what: string,
    request: (options: ConfigurationOptions) => Promise<Found>,
  ): Promise<Found | undefined> => {
    const result = await callApi(AbortSignal.timeout(timeoutMs), request);
    if (result.isOk) return result.body;
    if (result.code === 403) forbidden.push(what);
    if (result.code === 403 || result.code === 404) return undefined;
    const server = config.getCurrentCluster()?.server ?? '';
    throw new ConfigError([
      `the cluster ${server} does not answer (${result.problem}): check KUBECONFIG and its current context`,
    ]);
  };
  const core = config.makeApiClient(CoreV1Api);
  const context = config.getCurrentContext() || 'the cluster of this pod';
  const map = await read(`ConfigMap ${record} in ${namespace}`, (options) =>
    core.readNamespacedConfigMap({ name: record, namespace }, options),
  );
  if (map !== undefined) return { context, forbidden, record: map.data ?? {} };

  const registrations = config.makeApiClient(AdmissionregistrationV1Api);
  const custom = config.makeApiClient(CustomObjectsApi);
  const [service, webhook, serviceAccount] = await Promise.all([
    read(`Knative Service ${name} in ${namespace}`, async (options): Promise<unknown> => {
      const kind = { group: 'serving.knative.dev', version: 'v1', plural: 'services' };
      return await custom.getNamespacedCustomObject({ ...kind, name, namespace }, options);
    }),
    read(`MutatingWebhookConfiguration ${name}`, (options) =>
      registrations.readMutatingWebhookConfiguration({ name }, options),
    ),
    read(`ServiceAccount image-cloner in ${namespace}`, (options) =>
      core.readNamespacedServiceAccount({ name: 'image-cloner', namespace }, options),
    ),
  ]);
  return { context, forbidden, service, webhook, serviceAccount };
}
