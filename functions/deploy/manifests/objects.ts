import * as v from 'valibot';

/** The parts of Kubernetes' objects that we look at. */

const conditions = v.optional(
  v.array(
    v.object({
      type: v.string(),
      status: v.string(),
      reason: v.optional(v.string(), ''),
      message: v.optional(v.string(), ''),
    }),
  ),
  [],
);

export const knativeObject = v.object({
  metadata: v.object({
    uid: v.optional(v.string(), ''),
    generation: v.optional(v.number(), 0),
  }),
  status: v.optional(
    v.object({
      observedGeneration: v.optional(v.number(), 0),
      conditions,
    }),
    { conditions: [] },
  ),
});

export const secret = v.object({ data: v.optional(v.record(v.string(), v.string()), {}) });

export const tlsSecret = v.object({
  metadata: v.object({ name: v.string(), namespace: v.string() }),
  data: v.object({ 'tls.crt': v.string(), 'tls.key': v.string() }),
});

export const configMap = v.object({ data: v.optional(v.record(v.string(), v.string()), {}) });

export const podList = v.object({
  items: v.array(v.object({ status: v.optional(v.object({ conditions }), { conditions: [] }) })),
});

const ownerReferences = v.optional(v.array(v.object({ kind: v.string() })), []);

export const selectingService = v.object({
  metadata: v.object({ name: v.string(), ownerReferences }),
  spec: v.object({ selector: v.optional(v.record(v.string(), v.string()), {}) }),
});

export const selectingServiceList = v.object({ items: v.array(selectingService) });

export const mappingList = v.object({
  items: v.array(
    v.object({
      metadata: v.object({ name: v.string() }),
      spec: v.object({ ref: v.object({ name: v.string() }) }),
    }),
  ),
});

export const webhookConfiguration = v.object({
  metadata: v.object({
    name: v.string(),
    annotations: v.optional(v.record(v.string(), v.string()), {}),
  }),
  webhooks: v.tuple([
    v.object({
      failurePolicy: v.string(),
      clientConfig: v.object({
        caBundle: v.optional(v.string(), ''),
        service: v.optional(v.object({ name: v.string(), namespace: v.string() })),
      }),
    }),
  ]),
});

/** In need, somebody may have taken the webhook out of it. */
export const emptyConfiguration = v.object({ webhooks: v.optional(v.strictTuple([]), []) });

export const objectList = v.object({
  items: v.array(v.object({ metadata: v.object({ name: v.string() }) })),
});

export const runningService = v.object({
  spec: v.object({
    template: v.object({
      spec: v.object({
        containers: v.tuple([
          v.object({
            env: v.optional(
              v.array(v.object({ name: v.string(), value: v.optional(v.string(), '') })),
              [],
            ),
          }),
        ]),
      }),
    }),
  }),
});
