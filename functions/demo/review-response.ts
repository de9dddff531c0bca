import * as v from 'valibot';

const patchSchema = v.array(
  v.object({ op: v.picklist(['test', 'add', 'replace']), path: v.string(), value: v.unknown() }),
);
/** The operations of RFC 6902 that the webhook uses. */
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

/** The fields of an AdmissionResponse that the API server reads, with the patch decoded. */
export interface ReviewResponse {
  readonly isAllowed: boolean;
  readonly status: v.InferOutput<typeof reviewSchema>['response']['status'];
  readonly warnings: readonly string[];
  readonly patch: readonly PatchOperation[];
}

/** Parses the body of a response to an AdmissionReview. */
export function parseReviewResponse(body: string): ReviewResponse {
  const { response } = v.parse(reviewSchema, JSON.parse(body));
  const { allowed: isAllowed, status, warnings, patch = btoa('[]') } = response;
  return { isAllowed, status, warnings, patch: v.parse(patchSchema, JSON.parse(atob(patch))) };
}
