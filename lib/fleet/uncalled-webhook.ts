import type { StoredWorkload } from '../ports/index.ts';
import { type ApplyResult, fail } from './apply-to-each.ts';

/** Remembers where the API server did not call the webhook for a write, so that nothing more is written there. */
export interface UncalledWebhook {
  isKnown(stored: StoredWorkload): boolean;
  note(stored: StoredWorkload): void;
}

export function createUncalledWebhook(): UncalledWebhook {
  const known = new Set<string>();
  return {
    isKnown: (stored) => known.has(toRuleKey(stored)),
    note: (stored) => void known.add(toRuleKey(stored)),
  };
}

export function failNotCalled({ kind, namespace }: StoredWorkload): ApplyResult {
  return fail(
    `the API server does not call the webhook for ${kind.workload} in ${namespace}: check that it is registered and that WORKLOADS has ${kind.workload}`,
  );
}

/** A webhook configuration matches by namespace and kind. */
function toRuleKey({ kind, namespace }: StoredWorkload): string {
  return `${namespace} ${kind.workload}`;
}
