import { CoreV1Api, HttpMethod, KubeConfig, RequestContext } from '@kubernetes/client-node';
import { ConfigError } from '../../errors.ts';
import type { Logger } from '../../ports.ts';
import { createNamespaceReader, type NamespaceReader } from './namespace-reader.ts';

export interface ClusterSettings {
  /** `KUBECONFIG`, for who runs outside a cluster; it wins where there are both. */
  readonly kubeconfigFile: string | undefined;
  readonly insideCluster: boolean;
  readonly logger: Logger;
}

/**
 * Reads with the pod's own ServiceAccount, or with a kubeconfig. Rejects with `ConfigError` when neither can ever work;
 * the API server itself is not asked, it may be down for now.
 */
export async function openNamespaceReader({
  kubeconfigFile,
  insideCluster,
  logger,
}: ClusterSettings): Promise<NamespaceReader> {
  const config = new KubeConfig();
  if (kubeconfigFile !== undefined) await load(config, kubeconfigFile);
  else if (insideCluster) await loadOwn(config);
  else throw unusable('it needs a cluster: run the webhook inside one, or set KUBECONFIG');
  return createNamespaceReader({ api: config.makeApiClient(CoreV1Api), logger });
}

async function load(config: KubeConfig, file: string): Promise<void> {
  try {
    config.loadFromFile(file);
    await assertUsable(config);
  } catch {
    // The reasons of a YAML parser quote the file, and that holds tokens.
    throw unusable(`KUBECONFIG ${file} is not a file with a current context that can be used`);
  }
}

async function loadOwn(config: KubeConfig): Promise<void> {
  try {
    config.loadFromCluster();
    await assertUsable(config);
  } catch {
    throw unusable(
      'the pod has no token of its ServiceAccount; leave out automountServiceAccountToken: false',
    );
  }
}

/** The SDK reads tokens and certificates when it makes a request, so one is made and not sent. */
async function assertUsable(config: KubeConfig): Promise<void> {
  const server = config.getCurrentCluster()?.server ?? '';
  await config.applySecurityAuthentication(new RequestContext(server, HttpMethod.GET));
}

function unusable(problem: string): ConfigError {
  return new ConfigError([`PULL_SECRETS=true cannot work: ${problem}`]);
}
