import type { StoredWorkload, WorkloadStore } from '../ports/index.ts';
import type { ApplyResult } from './apply-to-each.ts';
import { parseRolloutStatus, type RolloutStatus } from './rollout-status.ts';

export interface AwaitRolloutDeps {
  readonly store: Pick<WorkloadStore, 'read'>;
  /** Monotonic, in milliseconds. */
  readonly now: () => number;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly timeoutMs: number;
}

/** The last status of a rollout; `gone` if the object was deleted meanwhile. */
export type RolloutResult = RolloutStatus | { readonly state: 'gone' };

/** Waits until the pods of a workload match its stored template. */
export type AwaitRollout = (stored: StoredWorkload, signal: AbortSignal) => Promise<RolloutResult>;

export interface FollowRolloutDeps {
  /** Absent if a run does not wait for rollouts. */
  readonly awaitRollout?: AwaitRollout;
  readonly onProgress: (stored: StoredWorkload, message: string) => void;
}

interface WrittenObject {
  readonly before: StoredWorkload;
  readonly written: StoredWorkload;
  /** The result if the rollout completes. */
  readonly done: Extract<ApplyResult, { readonly state: 'done' }>;
  readonly signal: AbortSignal;
}

const pollMs = 2_000;

export function createAwaitRollout({
  store,
  now,
  sleep,
  timeoutMs,
}: AwaitRolloutDeps): AwaitRollout {
  return async (stored, signal) => {
    const deadline = now() + timeoutMs;
    let current = stored;
    for (;;) {
      const status = parseRolloutStatus(current);
      if (status.state !== 'running' || now() >= deadline) return status;
      await sleep(pollMs, signal);
      try {
        const latest = await store.read(stored, signal);
        if (latest === undefined) return { state: 'gone' };
        current = latest;
      } catch (error) {
        // An outage of the API server must not start the next rollout.
        if (signal.aborted || now() >= deadline) throw error;
      }
    }
  };
}

/** Waits for the rollout of an object that was written. A rollout that fails stops the run, before the next object is written. */
export async function followRollout(
  { awaitRollout, onProgress }: FollowRolloutDeps,
  { before, written, done, signal }: WrittenObject,
): Promise<ApplyResult> {
  if (awaitRollout === undefined) return done;
  const earlier = parseRolloutStatus(before);
  if (earlier.state === 'running' || earlier.state === 'stuck') {
    const note = `does not wait for the rollout, which was incomplete before: ${earlier.detail}`;
    return { ...done, notes: [...done.notes, note] };
  }
  onProgress(written, `${done.action}, rolling out`);
  const status = await awaitRollout(written, signal);
  if (status.state !== 'running' && status.state !== 'stuck') return done;
  const problem = `${done.action}, but the rollout did not complete: ${status.detail}`;
  return { state: 'failed', problem, stopsRun: true };
}
