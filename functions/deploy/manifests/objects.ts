import * as v from 'valibot';

/** The fields of Kubernetes objects that several wings read. */

export const secret = v.object({ data: v.optional(v.record(v.string(), v.string()), {}) });

export const selectingService = v.object({
  metadata: v.object({
    name: v.string(),
    ownerReferences: v.optional(v.array(v.object({ kind: v.string() })), []),
  }),
  spec: v.object({ selector: v.optional(v.record(v.string(), v.string()), {}) }),
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

export const objectList = v.object({
  items: v.array(v.object({ metadata: v.object({ name: v.string() }) })),
});
