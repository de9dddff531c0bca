import type { Logger, ReviewEvent } from '../ports/index.ts';
import type { ReviewPlan } from './plan.ts';
import type { AdmissionReview } from './review.ts';

/** No name of an object is longer, its namespace included. */
const maxLoggedLength = 320;

/** One line for each review. */
export function logReview(
  logger: Logger,
  plan: ReviewPlan,
  { response }: AdmissionReview,
  verdict: ReviewEvent['verdict'],
  ms: number,
): void {
  const { uid, kind, operation, namespace, name, dryRun } = plan.request;
  const { status, warnings } = response;
  logger.info(
    {
      uid,
      kind: toShort(kind.group === '' ? kind.kind : `${kind.group}/${kind.kind}`),
      operation: toShort(operation),
      object: toShort(namespace === '' ? name : `${namespace}/${name}`),
      dryRun,
      verdict,
      ...(status !== undefined && { message: status.message }),
      ...(warnings !== undefined && { warnings: warnings.length }),
      ms: Math.round(ms),
    },
    'review answered',
  );
}

/** A name is validated after us, and a forged review may have any. */
function toShort(text: string): string {
  return text.length > maxLoggedLength ? `${text.slice(0, maxLoggedLength)}…` : text;
}

/** What became of it, for the log and the counters. */
export function verdictOf({ response }: AdmissionReview): ReviewEvent['verdict'] {
  if (!response.allowed) return response.status?.code === 504 ? 'retry' : 'denied';
  return response.patch === undefined ? 'untouched' : 'patched';
}
