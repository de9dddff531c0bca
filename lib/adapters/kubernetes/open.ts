import { CoordinationV1Api, CoreV1Api } from '@kubernetes/client-node';
import { ConfigError } from '../../errors.ts';
import type { LeaseStore, Logger, NamespaceReader, WorkloadStore } from '../../ports/index.ts';
import {
  type KubectlConfigSettings,
  loadKubectlConfig,
  loadServerConfig,
  type ServerConfigSettings,
} from './kubeconfig.ts';
import { createLeaseStore } from './lease-store.ts';
import { createNamespaceReader } from './namespace-reader.ts';
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
