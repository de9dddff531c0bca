import {
  AdmissionregistrationV1Api,
  CoordinationV1Api,
  CoreV1Api,
  DiscoveryV1Api,
} from '@kubernetes/client-node';
import { ConfigError } from '../../errors.ts';
import type {
  CertificateStore,
  EventSink,
  LeaseStore,
  Logger,
  NamespaceReader,
  WorkloadStore,
} from '../../ports/index.ts';
import { type CertificateStoreDeps, createCertificateStore } from './certificate-store.ts';
import { createEventSink } from './event-sink.ts';
import {
  type KubectlConfigSettings,
  loadKubectlConfig,
  loadServerConfig,
  type ServerConfigSettings,
} from './kubeconfig.ts';
import { createLeaseStore } from './lease-store.ts';
import { createNamespaceReader } from './namespace-reader.ts';
import { createListEndpoints, type ListEndpoints } from './service-endpoints.ts';
import { createWorkloadStore, type WorkloadStoreDeps } from './workload-store.ts';

export interface ReaderSettings extends ServerConfigSettings {
  readonly logger: Logger;
  /** The variable that the error names. @default PULL_SECRETS=true */
  readonly neededBy?: string;
}

/** Rejects with `ConfigError` as `loadServerConfig` does. */
export async function openNamespaceReader({
  logger,
  neededBy = 'PULL_SECRETS=true',
  ...settings
}: ReaderSettings): Promise<NamespaceReader> {
  const config = await loadServerConfig(settings, `${neededBy} cannot work`);
  return createNamespaceReader({ api: config.makeApiClient(CoreV1Api), logger });
}

export interface EventSettings extends ServerConfigSettings {
  /** The pod that reports. */
  readonly instance: string;
}

/** Rejects with `ConfigError` as `loadServerConfig` does. */
export async function openEventSink({ instance, ...settings }: EventSettings): Promise<EventSink> {
  const config = await loadServerConfig(settings, 'Events cannot be written');
  return createEventSink({ api: config.makeApiClient(CoreV1Api), instance });
}

export interface LeaseSettings extends ServerConfigSettings {
  readonly logger: Logger;
  /** The namespace of the pod; a kubeconfig brings its own. */
  readonly namespace: string | undefined;
}

/** The Leases of image-cloner's own namespace. Rejects with `ConfigError` as `loadServerConfig` does. */
export async function openLeaseStore({
  logger,
  namespace: podNamespace,
  ...settings
}: LeaseSettings): Promise<LeaseStore> {
  const failure = 'replicas cannot share copies';
  const config = await loadServerConfig(settings, failure);
  const contextNamespace = config.getContextObject(config.getCurrentContext())?.namespace;
  const namespace = settings.kubeconfigFile === undefined ? podNamespace : contextNamespace;
  if (namespace === undefined) {
    throw new ConfigError([
      `${failure}: the namespace is unknown; set it in the current context of KUBECONFIG`,
    ]);
  }
  return createLeaseStore({ api: config.makeApiClient(CoordinationV1Api), namespace, logger });
}

export type StoreSettings = KubectlConfigSettings & Omit<WorkloadStoreDeps, 'config'>;

/** The workloads of the cluster that kubectl uses. Throws `ConfigError` as `loadKubectlConfig` does. */
export function openWorkloadStore({
  kubeconfig,
  insideCluster,
  ...deps
}: StoreSettings): WorkloadStore {
  return createWorkloadStore({ config: loadKubectlConfig({ kubeconfig, insideCluster }), ...deps });
}

export interface CertificateSettings
  extends KubectlConfigSettings,
    Pick<CertificateStoreDeps, 'namespace' | 'secretName' | 'configurationName'> {}

export interface CertificateAccess {
  readonly store: CertificateStore;
  readonly listEndpoints: ListEndpoints;
  /** The context of the kubeconfig. */
  readonly context: string;
}

/** The certificate of the webhook in the cluster that kubectl uses. Throws `ConfigError` as `loadKubectlConfig` does. */
export function openCertificateAccess({
  kubeconfig,
  insideCluster,
  ...names
}: CertificateSettings): CertificateAccess {
  const config = loadKubectlConfig({ kubeconfig, insideCluster });
  return {
    store: createCertificateStore({
      api: config.makeApiClient(CoreV1Api),
      registrations: config.makeApiClient(AdmissionregistrationV1Api),
      ...names,
    }),
    listEndpoints: createListEndpoints({ api: config.makeApiClient(DiscoveryV1Api) }),
    context: config.getCurrentContext() || 'the cluster of this pod',
  };
}
