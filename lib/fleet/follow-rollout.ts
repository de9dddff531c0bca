import type { StoredWorkload } from '../ports/index.ts';
import type { StepEnd } from './apply-to-each.ts';
import type { RolloutEnd } from './await-rollout.ts';
import { readRollout } from './rollout-status.ts';

export interface FollowRolloutDeps {
  /** Absent: rollouts are not waited for. */
  readonly awaitRollout?: (stored: StoredWorkload, signal: AbortSignal) => Promise<RolloutEnd>;
  /** What goes on meanwhile. */
  readonly tell: (stored: StoredWorkload, text: string) => void;
}

/** One object that was just written. */
export interface Written {
  readonly before: StoredWorkload;
  readonly written: StoredWorkload;
  /** `rewritten` */
  readonly what: string;
  readonly notes: readonly string[];
  readonly signal: AbortSignal;
}

/** Waits until what was written runs; where it does not, the run ends, before the next object meets the same. */
export async function followRollout(
  { awaitRollout, tell }: FollowRolloutDeps,
  { before, written, what, notes, signal }: Written,
): Promise<StepEnd> {
  if (awaitRollout === undefined) return { state: 'done', what, notes };
  const was = readRollout(before);
  if (was.state === 'running' || was.state === 'stuck') {
    const note = `its rollout is not waited for: before, ${was.detail}`;
    return { state: 'done', what, notes: [...notes, note] };
  }
  tell(written, `${what}, rolling out`);
  const end = await awaitRollout(written, signal);
  if (end.state !== 'running' && end.state !== 'stuck') return { state: 'done', what, notes };
  const problem = `${what}, but its rollout did not end: ${end.detail}`;
  return { state: 'failed', problem, endsRun: true };
}
