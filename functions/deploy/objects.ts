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
  metadata: v.object({ generation: v.optional(v.number(), 0) }),
  status: v.optional(
    v.object({
      observedGeneration: v.optional(v.number(), 0),
      conditions,
    }),
    { conditions: [] },
  ),
});

export const secret = v.object({ data: v.optional(v.record(v.string(), v.string()), {}) });

export const configMap = v.object({ data: v.optional(v.record(v.string(), v.string()), {}) });

export const podList = v.object({
  items: v.array(v.object({ status: v.optional(v.object({ conditions }), { conditions: [] }) })),
});

export const gatewayService = v.object({
  spec: v.object({ selector: v.record(v.string(), v.string()) }),
});

export const webhookConfiguration = v.object({
  metadata: v.object({ name: v.string() }),
  webhooks: v.tuple([
    v.object({
      failurePolicy: v.string(),
      clientConfig: v.object({
        caBundle: v.string(),
        service: v.optional(v.object({ name: v.string(), namespace: v.string() })),
      }),
    }),
  ]),
});

export const objectList = v.object({
  items: v.array(v.object({ metadata: v.object({ name: v.string() }) })),
});
