import { existsSync } from 'node:fs';
import { delimiter } from 'node:path';
import { HttpMethod, KubeConfig, RequestContext } from '@kubernetes/client-node';
import { ConfigError } from '../../errors.ts';

export interface ServerConfigSettings {
  /** `KUBECONFIG`: one file; it takes precedence over the cluster of the pod. */
  readonly kubeconfigFile: string | undefined;
  readonly insideCluster: boolean;
}

/**
 * Loads the cluster of a running webhook. Rejects with `ConfigError`, beginning with `failure`, if the configuration can never
 * work; sends no request, because the API server may be down at start-up.
 */
export async function loadServerConfig(
  { kubeconfigFile, insideCluster }: ServerConfigSettings,
  failure: string,
): Promise<KubeConfig> {
  if (kubeconfigFile === undefined && !insideCluster) {
    throw new ConfigError([
      `${failure}: no cluster is configured; run the webhook inside a cluster, or set KUBECONFIG`,
    ]);
  }
  const config = new KubeConfig();
  try {
    if (kubeconfigFile === undefined) config.loadFromCluster();
    else config.loadFromFile(kubeconfigFile);
    // The SDK reads tokens and certificates per request, so this prepares one without sending it.
    const server = config.getCurrentCluster()?.server ?? '';
    await config.applySecurityAuthentication(new RequestContext(server, HttpMethod.GET));
    return config;
  } catch {
    // The YAML parser's message quotes the file, which holds tokens.
    const problem =
      kubeconfigFile === undefined
        ? 'the pod has no ServiceAccount token; remove automountServiceAccountToken: false'
        : `KUBECONFIG ${kubeconfigFile} is not a kubeconfig file with a valid current context`;
    throw new ConfigError([`${failure}: ${problem}`]);
  }
}

export interface KubectlConfigSettings {
  /** `KUBECONFIG`: a list of files. */
  readonly kubeconfig: string | undefined;
  readonly insideCluster: boolean;
}

/**
 * Loads the cluster that kubectl uses: `KUBECONFIG`, `~/.kube/config`, or the cluster of the pod.
 * Throws `ConfigError` if there is none; sends no request.
 */
export function loadKubectlConfig({
  kubeconfig = '',
  insideCluster,
}: KubectlConfigSettings): KubeConfig {
  const config = new KubeConfig();
  try {
    if (kubeconfig === '') config.loadFromDefault();
    else mergeFiles(config, kubeconfig);
  } catch {
    // The YAML parser's message quotes the file, which holds tokens.
    throw new ConfigError(['no cluster is configured: KUBECONFIG or ~/.kube/config is not valid']);
  }
  const server = config.getCurrentCluster()?.server;
  // Without any configuration the SDK falls back to this server.
  if (server === undefined || (server === 'http://localhost:8080' && !insideCluster)) {
    throw new ConfigError([
      'no cluster is configured: set KUBECONFIG to a file with a current context',
    ]);
  }
  return config;
}

/** kubectl skips missing files and takes the first of two entries with one name; the SDK takes the last file's context. */
function mergeFiles(merged: KubeConfig, list: string): void {
  const files = list.split(delimiter).filter((file) => file !== '' && existsSync(file));
  const configs = files.map((file) => {
    const config = new KubeConfig();
    config.loadFromFile(file);
    return config;
  });
  merged.loadFromOptions({
    clusters: firstOfEachName(configs.flatMap(({ clusters }) => clusters)),
    users: firstOfEachName(configs.flatMap(({ users }) => users)),
    contexts: firstOfEachName(configs.flatMap(({ contexts }) => contexts)),
    currentContext: configs.map(({ currentContext }) => currentContext).find(Boolean) ?? '',
  });
}

function firstOfEachName<Entry extends { readonly name: string }>(
  entries: readonly Entry[],
): Entry[] {
  return [...new Map(entries.toReversed().map((entry) => [entry.name, entry])).values()];
}
