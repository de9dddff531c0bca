import * as v from 'valibot';

// The fields of Kubernetes objects that `deploy` reads.

const text = v.optional(v.string(), '');
const textMap = v.optional(v.record(v.string(), v.string()), {});

const metadata = v.object({
  name: text,
  namespace: text,
  uid: text,
  resourceVersion: text,
  generation: v.optional(v.number(), 0),
  labels: textMap,
  annotations: textMap,
  ownerReferences: v.optional(v.array(v.object({ kind: v.string() })), []),
  deletionTimestamp: v.optional(v.string()),
});

const conditions = v.optional(
  v.array(v.object({ type: v.string(), status: v.string(), reason: text, message: text })),
  [],
);

export const serviceAccountObject = v.object({
  imagePullSecrets: v.optional(v.array(v.object({ name: text })), []),
});

/** Any object. */
export const anyObject = v.object({ metadata });

/** A ConfigMap or a Secret. */
export const dataObject = v.object({ data: textMap });

/** A Secret with its annotations. */
export const secretObject = v.object({ metadata, data: textMap });

export const serviceObject = v.object({ metadata, spec: v.object({ selector: textMap }) });

export const podObject = v.object({
  metadata,
  status: v.optional(
    v.object({
      phase: text,
      conditions,
      containerStatuses: v.optional(
        v.array(
          v.object({
            ready: v.optional(v.boolean(), false),
            state: v.optional(
              v.object({
                waiting: v.optional(v.object({ reason: text, message: text })),
                running: v.optional(v.object({})),
                terminated: v.optional(v.object({})),
              }),
              {},
            ),
          }),
        ),
        [],
      ),
    }),
    {},
  ),
});

/** An object of Knative. */
export const knativeObject = v.object({
  metadata,
  status: v.optional(
    v.object({
      observedGeneration: v.optional(v.number(), 0),
      conditions,
      latestReadyRevisionName: text,
    }),
    {},
  ),
});

export const deploymentObject = v.object({
  metadata,
  spec: v.object({ replicas: v.optional(v.number(), 1) }),
  status: v.optional(
    v.object({
      observedGeneration: v.optional(v.number(), 0),
      replicas: v.optional(v.number(), 0),
      updatedReplicas: v.optional(v.number(), 0),
      availableReplicas: v.optional(v.number(), 0),
      conditions,
    }),
    {},
  ),
});

const nodeInfo = v.object({ operatingSystem: text, architecture: text });

export const nodeObject = v.object({ metadata, status: v.object({ nodeInfo }) });

const clientConfig = v.object({
  caBundle: text,
  service: v.optional(v.object({ name: v.string(), namespace: v.string(), path: text })),
});

const registeredWebhook = v.object({ failurePolicy: v.string(), clientConfig });

export const webhookConfiguration = v.object({
  metadata,
  webhooks: v.tupleWithRest([registeredWebhook], registeredWebhook),
});

export type WebhookConfiguration = v.InferOutput<typeof webhookConfiguration>;

/** A webhook configuration of any owner. */
export const otherConfiguration = v.object({
  metadata,
  webhooks: v.optional(
    v.array(
      v.object({
        clientConfig,
        namespaceSelector: v.optional(v.object({ matchLabels: textMap }), {}),
      }),
    ),
    [],
  ),
});

/** Parses the items of a list; an absent list has none. */
export function parseItems<const Schema extends v.GenericSchema>(
  item: Schema,
  list: unknown,
): readonly v.InferOutput<Schema>[] {
  return list === undefined ? [] : v.parse(v.object({ items: v.array(item) }), list).items;
}
