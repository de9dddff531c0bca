import { KubeConfig } from '@kubernetes/client-node';
import { ConfigError } from '../../errors.ts';
import type { WorkloadStore } from '../../ports/index.ts';
import { loadKubeconfig } from './kubeconfig.ts';
import { createWorkloadStore } from './workload-store.ts';

export interface StoreSettings {
  /** `KUBECONFIG`: files, the first of which wins. */
  readonly kubeconfig: string | undefined;
  readonly insideCluster: boolean;
  readonly fieldManager: string;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

/**
 * The cluster that kubectl would talk to: `KUBECONFIG`, `~/.kube/config`, or the one around us.
 * Rejects with `ConfigError` where there is none; the API server is not asked yet.
 */
export async function openWorkloadStore({
  kubeconfig,
  insideCluster,
  ...deps
}: StoreSettings): Promise<WorkloadStore> {
  const config = load(kubeconfig);
  const server = config.getCurrentCluster()?.server;
  // With nothing at all the SDK makes up a server of its own, from the days of the insecure port.
  const isMadeUp = server === 'http://localhost:8080';
  if (server === undefined || (isMadeUp && !insideCluster)) {
    throw unusable('set KUBECONFIG to a file with a current context');
  }
  return await Promise.resolve(createWorkloadStore({ config, ...deps }));
}

function load(kubeconfig = ''): KubeConfig {
  try {
    if (kubeconfig !== '') return loadKubeconfig(kubeconfig);
    const config = new KubeConfig();
    config.loadFromDefault();
    return config;
  } catch {
    // The reasons of a YAML parser quote the file, and that holds tokens.
    throw unusable('KUBECONFIG or ~/.kube/config cannot be read');
  }
}

function unusable(problem: string): ConfigError {
  return new ConfigError([`a cluster is needed: ${problem}`]);
}
