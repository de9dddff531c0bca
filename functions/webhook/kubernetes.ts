import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Copies } from '../../lib/cloner/queue/index.ts';
import {
  createLeaseBreaker,
  type SharedCopies,
  shareCopies,
} from '../../lib/cloner/replicas/index.ts';
import type { LeaseStore, Logger } from '../../lib/index.ts';
import { monotonicClock } from '../../lib/util/clock.ts';
import { serviceAccountNamespace } from '../shared/open-adapters.ts';

export interface ReplicaOptions {
  readonly copies: Copies;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly logger: Logger;
}

/**
 * The copies of one replica of several; `undefined` outside of a cluster, where there is but one. Nothing is loaded and nobody
 * asked before the first copy, or `watch`.
 */
export function openReplica({ copies, env, logger }: ReplicaOptions): SharedCopies | undefined {
  const { KUBERNETES_SERVICE_HOST: apiServer, KUBECONFIG: kubeconfigFile, HOSTNAME: pod } = env;
  if (apiServer === undefined) return undefined;
  const open = async (): Promise<LeaseStore> => {
    const { openLeaseStore } = await import('../../lib/adapters/kubernetes/index.ts');
    const namespace = await readFile(serviceAccountNamespace, 'utf8').catch(() => undefined);
    return await openLeaseStore({
      kubeconfigFile,
      insideCluster: true,
      namespace: namespace?.trim(),
      logger,
    });
  };
  return shareCopies({
    copies,
    store: createLeaseBreaker({ open, clock: monotonicClock, logger }),
    // A container that starts again in the same pod is another replica.
    holder: `${pod ?? 'image-cloner'}_${randomBytes(4).toString('hex')}`,
    clock: monotonicClock,
    logger,
  });
}
