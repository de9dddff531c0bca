import type { StoredWorkload, WorkloadStore } from '../ports/index.ts';
import { type Rollout, readRollout } from './rollout-status.ts';

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
}: AwaitRolloutDeps): (stored: StoredWorkload, signal: AbortSignal) => Promise<RolloutEnd> {
  return async (stored, signal) => {
    const until = now() + timeoutMs;
    let current = stored;
    for (;;) {
      const rollout = readRollout(current);
      if (rollout.state !== 'running') return rollout;
      if (now() >= until) return rollout;
      await sleep(pollMs, signal);
      const found = await readWithin(stored, until, signal);
      if (found === undefined) return { state: 'gone' };
      current = found;
    }
  };

  /** An API server that is away for a moment says nothing about the rollout; who gave up here would begin the next one. */
  async function readWithin(
    stored: StoredWorkload,
    until: number,
    signal: AbortSignal,
  ): Promise<StoredWorkload | undefined> {
    for (;;) {
      try {
        return await store.read(stored, signal);
      } catch (error) {
        if (signal.aborted || now() >= until) throw error;
      }
      await sleep(pollMs, signal);
    }
  }
}
