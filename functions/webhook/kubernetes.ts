import { randomBytes } from 'node:crypto';
import type { Copies } from '../../lib/cloner/queue/index.ts';
import {
  createLeaseBreaker,
  type SharedCopies,
  shareCopies,
} from '../../lib/cloner/replicas/index.ts';
import {
  createEventRecorder,
  createImageEvents,
  type EventRecorderDeps,
  type ImageEvents,
} from '../../lib/events/index.ts';
import type { AdmissionHandlerDeps, Config, LeaseStore, Logger } from '../../lib/index.ts';
import { monotonicClock } from '../../lib/util/clock.ts';
import { type Env, isInsideCluster, readPodNamespace } from '../shared/settings/environment.ts';

/**
 * Shares the copies with the other replicas; `undefined` outside of a cluster, where there is only one. The Kubernetes SDK is loaded at
 * the first copy or `watch`.
 */
export function openSharedCopies(
  copies: Copies,
  env: Env,
  logger: Logger,
): SharedCopies | undefined {
  if (!isInsideCluster(env)) return undefined;
  const { KUBECONFIG: kubeconfigFile, HOSTNAME: pod } = env;
  const open = async (): Promise<LeaseStore> => {
    const { openLeaseStore } = await import('../../lib/adapters/kubernetes/index.ts');
    return await openLeaseStore({
      kubeconfigFile,
      insideCluster: true,
      namespace: await readPodNamespace(),
      logger,
    });
  };
  return shareCopies({
    copies,
    store: createLeaseBreaker({ open, clock: monotonicClock, logger }),
    // A container that restarts in the same pod is another replica.
    holder: `${pod ?? 'image-cloner'}_${randomBytes(4).toString('hex')}`,
    clock: monotonicClock,
    logger,
  });
}

/**
 * Writes Kubernetes Events behind the reviews; `undefined` outside of a cluster, and with `EVENTS=false`. The SDK is loaded at the
 * first Event.
 */
export function openImageEvents(
  { events }: Config,
  env: Env,
  logger: Logger,
  onResult: NonNullable<EventRecorderDeps['onResult']>,
): ImageEvents | undefined {
  if (!events || !isInsideCluster(env)) return undefined;
  const { KUBECONFIG: kubeconfigFile, HOSTNAME: instance = 'image-cloner' } = env;
  const recorder = createEventRecorder({
    open: async () => {
      const { openEventSink } = await import('../../lib/adapters/kubernetes/index.ts');
      return await openEventSink({ kubeconfigFile, insideCluster: true, instance });
    },
    now: monotonicClock.now,
    wallClock: Date.now,
    logger,
    onResult,
  });
  return createImageEvents(recorder);
}

/** Loads nothing if `NAMESPACE_OVERRIDES` is empty. Rejects with `ConfigError` if the API server can never be reached. */
export async function openNamespaceOverrides(
  { namespaceOverrides: allowed }: Config,
  env: Env,
  logger: Logger,
): Promise<Pick<AdmissionHandlerDeps, 'overrides'>> {
  if (allowed.length === 0) return {};
  const { createNamespaceAnnotations, openNamespaceReader } = await import(
    '../../lib/adapters/kubernetes/index.ts'
  );
  const reader = await openNamespaceReader({
    kubeconfigFile: env['KUBECONFIG'],
    insideCluster: isInsideCluster(env),
    logger,
    neededBy: 'NAMESPACE_OVERRIDES',
  });
  const annotations = createNamespaceAnnotations({ reader, logger, now: monotonicClock.now });
  return { overrides: { allowed, annotations } };
}
