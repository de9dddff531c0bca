import {
  CoordinationV1Api,
  CoreV1Api,
  HttpMethod,
  KubeConfig,
  RequestContext,
} from '@kubernetes/client-node';
import { ConfigError } from '../../errors.ts';
import type { LeaseStore, Logger, NamespaceReader } from '../../ports/index.ts';
import { createLeaseStore } from './lease-store.ts';
import { createNamespaceReader } from './namespace-reader.ts';

interface ClusterSettings {
  /** `KUBECONFIG`, for who runs outside a cluster; it wins where there are both. */
  readonly kubeconfigFile: string | undefined;
  readonly insideCluster: boolean;
  readonly logger: Logger;
}

export interface ReaderSettings extends ClusterSettings {
  /** What was configured, for the sentence. @default PULL_SECRETS=true */
  readonly neededBy?: string;
}

/**
 * Reads with the pod's own ServiceAccount, or with a kubeconfig. Rejects with `ConfigError` when neither can ever work;
 * the API server itself is not asked, it may be down for now.
 */
export async function openNamespaceReader(settings: ReaderSettings): Promise<NamespaceReader> {
  const { neededBy = 'PULL_SECRETS=true' } = settings;
  const config = await loadConfig(settings, `${neededBy} cannot work`);
  return createNamespaceReader({ api: config.makeApiClient(CoreV1Api), logger: settings.logger });
}

export interface LeaseSettings extends ClusterSettings {
  /** Where the pod is; a kubeconfig has its own. */
  readonly namespace: string | undefined;
}

/** The Leases of our own namespace. Rejects and waits as `openNamespaceReader` does. */
export async function openLeaseStore(settings: LeaseSettings): Promise<LeaseStore> {
  const needed = 'replicas cannot share copies';
  const config = await loadConfig(settings, needed);
  const ofContext = config.getContextObject(config.getCurrentContext())?.namespace;
  const namespace = settings.kubeconfigFile === undefined ? settings.namespace : ofContext;
  if (namespace === undefined) throw unusable(needed, 'nobody says which namespace is ours');
  const api = config.makeApiClient(CoordinationV1Api);
  return createLeaseStore({ api, namespace, logger: settings.logger });
}

async function loadConfig(
  { kubeconfigFile, insideCluster }: ClusterSettings,
  needed: string,
): Promise<KubeConfig> {
  const config = new KubeConfig();
  if (kubeconfigFile !== undefined) await load(config, kubeconfigFile, needed);
  else if (insideCluster) await loadOwn(config, needed);
  else throw unusable(needed, 'it needs a cluster: run the webhook inside one, or set KUBECONFIG');
  return config;
}

async function load(config: KubeConfig, file: string, needed: string): Promise<void> {
  try {
    config.loadFromFile(file);
    await assertUsable(config);
  } catch {
    // The reasons of a YAML parser quote the file, and that holds tokens.
    throw unusable(
      needed,
      `KUBECONFIG ${file} is not a file with a current context that can be used`,
    );
  }
}

async function loadOwn(config: KubeConfig, needed: string): Promise<void> {
  try {
    config.loadFromCluster();
    await assertUsable(config);
  } catch {
    throw unusable(
      needed,
      'the pod has no token of its ServiceAccount; leave out automountServiceAccountToken: false',
    );
  }
}

/** The SDK reads tokens and certificates when it makes a request, so one is made and not sent. */
async function assertUsable(config: KubeConfig): Promise<void> {
  const server = config.getCurrentCluster()?.server ?? '';
  await config.applySecurityAuthentication(new RequestContext(server, HttpMethod.GET));
}

function unusable(needed: string, problem: string): ConfigError {
  return new ConfigError([`${needed}: ${problem}`]);
}
