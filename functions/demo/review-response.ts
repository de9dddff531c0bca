import * as v from 'valibot';

const patchSchema = v.array(
  v.object({ op: v.picklist(['test', 'add', 'replace']), path: v.string(), value: v.unknown() }),
);
/** RFC 6902, as far as the webhook uses it. */
export type PatchOperation = v.InferOutput<typeof patchSchema>[number];

const reviewSchema = v.object({
  response: v.object({
    allowed: v.boolean(),
    patch: v.optional(v.string()),
    warnings: v.optional(v.array(v.string()), []),
    status: v.optional(
      v.object({
        code: v.number(),
        message: v.string(),
        details: v.optional(v.object({ retryAfterSeconds: v.number() })),
      }),
    ),
  }),
});

/** What the API server reads of the webhook's answer, the patch decoded. */
export interface Answer {
  readonly isAllowed: boolean;
  readonly status: v.InferOutput<typeof reviewSchema>['response']['status'];
  readonly warnings: readonly string[];
  readonly patch: readonly PatchOperation[];
}

/** Reads the body of an answer to an AdmissionReview. */
export function parseAnswer(body: string): Answer {
  const { response } = v.parse(reviewSchema, JSON.parse(body));
  const { allowed: isAllowed, status, warnings, patch = btoa('[]') } = response;
  return { isAllowed, status, warnings, patch: v.parse(patchSchema, JSON.parse(atob(patch))) };
}
