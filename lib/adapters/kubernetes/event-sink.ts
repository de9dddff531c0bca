import {
  type CoreV1Api,
  type CoreV1Event,
  PatchStrategy,
  setHeaderOptions,
} from '@kubernetes/client-node';
import type { EventResult, EventSink, KubernetesEvent } from '../../ports/index.ts';
import { createApiCall } from './api-call.ts';

export interface EventSinkDeps {
  /** The calls that RBAC must allow. */
  readonly api: Pick<CoreV1Api, 'createNamespacedEvent' | 'patchNamespacedEvent'>;
  /** The pod that reports. */
  readonly instance: string;
}

const timeoutMs = 5_000;
const component = 'image-cloner';

/** Events of `v1`, which `kubectl describe` shows with their count. */
export function createEventSink({ api, instance }: EventSinkDeps): EventSink {
  const callApi = createApiCall();

  async function send(request: Parameters<typeof callApi>[1]): Promise<EventResult> {
    const result = await callApi(AbortSignal.timeout(timeoutMs), request);
    if (result.isOk) return 'written';
    if (result.code === 404) return 'absent';
    return result.code === 403 ? 'forbidden' : 'failed';
  }

  return {
    create: (event) =>
      send((options) =>
        api.createNamespacedEvent(
          { namespace: event.namespace, body: toBody(event, instance) },
          options,
        ),
      ),
    repeat: ({ name, namespace, count, lastAt }) =>
      send((options) =>
        api.patchNamespacedEvent(
          { name, namespace, body: { count, lastTimestamp: new Date(lastAt).toISOString() } },
          setHeaderOptions('Content-Type', PatchStrategy.MergePatch, options),
        ),
      ),
  };
}

function toBody(event: KubernetesEvent, instance: string): CoreV1Event {
  const {
    name,
    namespace,
    object: { uid, ...object },
    type,
    reason,
    message,
    count,
    firstAt,
    lastAt,
  } = event;
  return {
    metadata: { name, namespace },
    // The namespace of the Event, also for a Namespace object: `kubectl get events -n` would not list it otherwise.
    involvedObject: { ...object, namespace, ...(uid !== undefined && { uid }) },
    type,
    reason,
    message,
    count,
    firstTimestamp: new Date(firstAt),
    lastTimestamp: new Date(lastAt),
    source: { component, host: instance },
    reportingComponent: component,
    reportingInstance: instance,
  };
}
