import type { StoredWorkload, WorkloadStore } from '../../ports/index.ts';
import type { RateLimiter } from '../rate-limiter.ts';

export interface WritePlannedDeps {
  readonly store: Pick<WorkloadStore, 'read' | 'patch'>;
  readonly rateLimiter: RateLimiter;
  readonly onProgress: (stored: StoredWorkload, message: string) => void;
}

/** What is to be written to one object. */
interface WritePlan {
  /** RFC 6902, with tests of what the plan relies on; empty if there is nothing to write. */
  readonly operations: readonly object[];
}

/** The result; `before` is the object that the plan was made for. */
export type PlannedWrite<Plan> =
  | { readonly status: 'gone' }
  | { readonly status: 'refused'; readonly problem: string }
  | { readonly status: 'unneeded'; readonly before: StoredWorkload; readonly plan: Plan }
  | {
      readonly status: 'written';
      readonly before: StoredWorkload;
      readonly plan: Plan;
      readonly written: StoredWorkload;
      readonly warnings: readonly string[];
    };

const maxAttempts = 3;

/**
 * Reads an object, plans a write and writes it, all operations in one request. If another client changes the object in between, it plans
 * again.
 */
export async function writePlanned<Plan extends WritePlan>(
  { store, rateLimiter, onProgress }: WritePlannedDeps,
  listed: StoredWorkload,
  toPlan: (stored: StoredWorkload) => Plan,
  signal: AbortSignal,
): Promise<PlannedWrite<Plan>> {
  let refused: { readonly body: string; readonly message: string } | undefined;
  for (let attempt = 1; attempt <= maxAttempts; attempt += 1) {
    // A long run reaches an object long after it was listed.
    const before = await store.read(listed, signal);
    if (before === undefined) return { status: 'gone' };
    const plan = toPlan(before);
    const { operations } = plan;
    if (operations.length === 0) return { status: 'unneeded', before, plan };
    const body = JSON.stringify(operations);
    // If the plan is the same, no other client is the reason for the refusal.
    if (refused?.body === body) return { status: 'refused', problem: explain(refused.message) };
    if (refused === undefined) await rateLimiter.wait(signal);
    const result = await store.patch(
      before,
      { type: 'json', body: operations },
      { signal, onWait: (message) => onProgress(before, message) },
    );
    if (result.status === 'gone') return result;
    if (result.status === 'written') {
      const { stored: written, warnings } = result;
      return { status: 'written', before, plan, written, warnings };
    }
    refused = { body, message: result.message };
  }
  const problem = `other clients changed it ${maxAttempts} times while it was written: run again`;
  return { status: 'refused', problem };
}

/** The API server prefixes what a webhook with `failurePolicy: Fail` did not answer. */
function explain(message: string): string {
  return message.includes('failed calling webhook')
    ? `${message}; if that webhook is image-cloner's: image-cloner status names the command that lets writes pass`
    : message;
}
