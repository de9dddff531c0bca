import {
  ApiException,
  type ConfigurationOptions,
  type CoordinationV1Api,
} from '@kubernetes/client-node';
import type { LeaseAnswer, LeaseStore, Logger } from '../../ports/index.ts';
import { createApiCall } from './api-call.ts';
import {
  formatVersion,
  leaseLabels,
  leaseName,
  parseLease,
  parseVersion,
  toLease,
} from './lease.ts';

export interface LeaseStoreDeps {
  /** The calls that RBAC must allow. */
  readonly api: Pick<
    CoordinationV1Api,
    | 'createNamespacedLease'
    | 'deleteNamespacedLease'
    | 'listNamespacedLease'
    | 'replaceNamespacedLease'
  >;
  /** The namespace of image-cloner. */
  readonly namespace: string;
  readonly logger: Logger;
  /** Timeout of one request; a copy waits for it. @default 2 seconds */
  readonly timeoutMs?: number;
}

const labelSelector = Object.entries(leaseLabels)
  .map(([key, value]) => `${key}=${value}`)
  .join(',');

/** Leases of `coordination.k8s.io/v1` in one namespace. */
export function createLeaseStore({
  api,
  namespace,
  logger,
  timeoutMs = 2_000,
}: LeaseStoreDeps): LeaseStore {
  const callApi = createApiCall();
  let lastRenewTime = 0;

  /** The wall clock, made strictly increasing so that each write changes the object. */
  function nextRenewTime(): number {
    lastRenewTime = Math.max(Date.now(), lastRenewTime + 1);
    return lastRenewTime;
  }

  async function request<Found>(
    verb: 'list' | 'create' | 'replace' | 'remove',
    signal: AbortSignal,
    send: (options: ConfigurationOptions) => Promise<Found>,
  ): Promise<LeaseAnswer<Found>> {
    const result = await callApi(AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]), send);
    if (result.isOk) return { status: 'done', found: result.body };
    const { code, problem } = result;
    if (code === 403) return { status: 'forbidden' };
    if (code === 409 || (code === 404 && verb === 'replace')) return { status: 'conflict' };
    if (!signal.aborted) logger.debug({ verb, problem }, 'Lease request failed');
    return { status: 'unavailable' };
  }

  return {
    list: (signal) =>
      request('list', signal, async (options) => {
        const { items } = await api.listNamespacedLease({ namespace, labelSelector }, options);
        return items.flatMap((item) => parseLease(item) ?? []);
      }),
    create: (lease, signal) =>
      request('create', signal, async (options) => {
        const body = toLease(lease, nextRenewTime());
        const { metadata = {} } = await api.createNamespacedLease({ namespace, body }, options);
        return formatVersion(metadata);
      }),
    replace: (lease, version, signal) =>
      request('replace', signal, async (options) => {
        const name = leaseName(lease.target);
        const body = toLease(lease, nextRenewTime(), version);
        const { metadata = {} } = await api.replaceNamespacedLease(
          { namespace, name, body },
          options,
        );
        return formatVersion(metadata);
      }),
    remove: ({ target, version }, signal) =>
      request('remove', signal, async (options) => {
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
