import type { DiscoveryV1Api } from '@kubernetes/client-node';
import type { ServiceName } from '../../ports/index.ts';
import { createApiCall } from './api-call.ts';

export interface ServiceEndpointsDeps {
  /** The call that RBAC must allow. */
  readonly api: Pick<DiscoveryV1Api, 'listNamespacedEndpointSlice'>;
  /** @default 10 seconds */
  readonly timeoutMs?: number;
}

interface Endpoint {
  /** IPv4 or IPv6. */
  readonly address: string;
  readonly port: number;
}

/** Lists the endpoints of a Service, ready or not: one that is not can be so again at any time, unless its pod is being deleted. */
export type ListEndpoints = (
  service: ServiceName,
  signal: AbortSignal,
) => Promise<readonly Endpoint[]>;

export function createListEndpoints({
  api,
  timeoutMs = 10_000,
}: ServiceEndpointsDeps): ListEndpoints {
  const callApi = createApiCall();

  return async ({ name, namespace }, signal) => {
    const labelSelector = `kubernetes.io/service-name=${name}`;
    const within = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    const result = await callApi(within, (options) =>
      api.listNamespacedEndpointSlice({ namespace, labelSelector }, options),
    );
    if (!result.isOk) {
      throw new Error(
        `cannot list the endpoints of the Service ${name} in ${namespace}: ${result.problem}`,
      );
    }
    const endpoints = result.body.items.flatMap(({ endpoints, ports }) =>
      (endpoints ?? [])
        .filter(({ conditions }) => conditions?.terminating !== true)
        .flatMap(({ addresses }) =>
          (ports ?? []).flatMap(({ port }) =>
            port === undefined ? [] : addresses.map((address) => ({ address, port })),
          ),
        ),
    );
    // During a change an endpoint can be in two slices.
    return [...new Map(endpoints.map((each) => [JSON.stringify(each), each])).values()];
  };
}
