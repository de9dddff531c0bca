import { type Rollout, readRollout } from './rollout.ts';
import type { WorkloadStore } from './store.ts';
import type { Subject } from './subject.ts';

export interface AwaitRolloutDeps {
  readonly store: Pick<WorkloadStore, 'read'>;
  /** Milliseconds, for durations only. */
  readonly now: () => number;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly timeoutMs: number;
}

/** How a rollout ended; `gone`: somebody deleted the object meanwhile. */
export type RolloutEnd = Rollout | { readonly state: 'gone' };

const pollMs = 2_000;

/** Waits until an object runs as it is stored: one rollout at a time is all that a cluster is asked to bear. */
export function createAwaitRollout({
  store,
  now,
  sleep,
  timeoutMs,
}: AwaitRolloutDeps): (subject: Subject, signal: AbortSignal) => Promise<RolloutEnd> {
  return async (subject, signal) => {
    const until = now() + timeoutMs;
    let current: Subject | undefined = subject;
    for (;;) {
      if (current === undefined) return { state: 'gone' };
      const rollout = readRollout(current);
      if (rollout.state !== 'running') return rollout;
      if (now() >= until) return rollout;
      await sleep(pollMs, signal);
      current = await store.read(subject, signal);
    }
  };
}
