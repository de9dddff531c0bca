import type { AdmissionHandlerDeps, Config, Logger } from '../../lib/index.ts';
import { monotonicClock } from '../../lib/util/clock.ts';

export interface OverridesOptions {
  readonly config: Config;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly logger: Logger;
}

/** What namespaces may decide for themselves; nothing is loaded where that is nothing. Rejects with `ConfigError` where it can never work. */
export async function openOverrides({
  config,
  env,
  logger,
}: OverridesOptions): Promise<Pick<AdmissionHandlerDeps, 'overrides'>> {
  const { namespaceOverrides: allowed } = config;
  if (allowed.length === 0) return {};
  const { createNamespaceAnnotations, openNamespaceReader } = await import(
    '../../lib/adapters/kubernetes/index.ts'
  );
  const reader = await openNamespaceReader({
    kubeconfigFile: env['KUBECONFIG'],
    insideCluster: env['KUBERNETES_SERVICE_HOST'] !== undefined,
    logger,
    neededBy: 'NAMESPACE_OVERRIDES',
  });
  const annotations = createNamespaceAnnotations({ reader, logger, now: monotonicClock.now });
  return { overrides: { allowed, annotations } };
}
