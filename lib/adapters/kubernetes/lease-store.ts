import {
  ApiException,
  type ConfigurationOptions,
  type CoordinationV1Api,
} from '@kubernetes/client-node';
import type { LeaseAnswer, LeaseStore, Logger } from '../../ports/index.ts';
import { untilAborted } from '../../util/abort.ts';
import { createKeptConnections } from './api-call.ts';
import {
  formatVersion,
  leaseLabels,
  leaseName,
  parseLease,
  parseVersion,
  toLease,
} from './lease.ts';
import { toProblem } from './problem.ts';

export interface LeaseStoreDeps {
  /** Narrowed to what is used: RBAC need allow no more. */
  readonly api: Pick<
    CoordinationV1Api,
    | 'createNamespacedLease'
    | 'deleteNamespacedLease'
    | 'listNamespacedLease'
    | 'replaceNamespacedLease'
  >;
  /** Our own. */
  readonly namespace: string;
  readonly logger: Logger;
  /** How long one answer may take. @default 2 seconds: a copy waits for it */
  readonly patienceMs?: number;
}

const labelSelector = Object.entries(leaseLabels)
  .map(([key, value]) => `${key}=${value}`)
  .join(',');

/** Leases of `coordination.k8s.io/v1` in one namespace. */
export function createLeaseStore({
  api,
  namespace,
  logger,
  patienceMs = 2_000,
}: LeaseStoreDeps): LeaseStore {
  const begin = createKeptConnections();
  let lastRenewal = 0;

  /** The wall clock, for who looks at the object; never twice the same, whatever the clock does. */
  function renewal(): number {
    lastRenewal = Math.max(Date.now(), lastRenewal + 1);
    return lastRenewal;
  }

  async function ask<Found>(
    verb: string,
    signal: AbortSignal,
    call: (options: ConfigurationOptions) => Promise<Found>,
  ): Promise<LeaseAnswer<Found>> {
    const within = AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]);
    const { options, abandonConnection } = begin(within);
    try {
      return { status: 'done', found: await untilAborted(call(options), within) };
    } catch (error) {
      const code = error instanceof ApiException ? error.code : undefined;
      if (code === 403) return { status: 'forbidden' };
      if (code === 409 || (code === 404 && verb !== 'create' && verb !== 'list')) {
        return { status: 'conflict' };
      }
      if (code === undefined) abandonConnection();
      if (!signal.aborted) {
        const problem = toProblem(error, within);
        logger.debug({ verb, problem }, 'the API server was asked for a Lease in vain');
      }
      return { status: 'unavailable' };
    }
  }

  return {
    list: (signal) =>
      ask('list', signal, async (options) => {
        const { items } = await api.listNamespacedLease({ namespace, labelSelector }, options);
        return items.flatMap((item) => parseLease(item) ?? []);
      }),
    create: (lease, signal) =>
      ask('create', signal, async (options) => {
        const body = toLease(lease, renewal());
        const { metadata = {} } = await api.createNamespacedLease({ namespace, body }, options);
        return formatVersion(metadata);
      }),
    replace: (lease, version, signal) =>
      ask('replace', signal, async (options) => {
        const name = leaseName(lease.target);
        const body = toLease(lease, renewal(), version);
        const request = { namespace, name, body };
        const { metadata = {} } = await api.replaceNamespacedLease(request, options);
        return formatVersion(metadata);
      }),
    remove: ({ target, version }, signal) =>
      ask('remove', signal, async (options) => {
        const preconditions = parseVersion(version);
        try {
          await api.deleteNamespacedLease(
            { namespace, name: leaseName(target), body: { preconditions } },
            options,
          );
        } catch (error) {
          if (!(error instanceof ApiException) || error.code !== 404) throw error;
        }
        return undefined;
      }),
  };
}
