import type { StoredWorkload } from '../ports/index.ts';
import { formatWorkload } from './stored-workload.ts';

/** The result for one object. */
export type ApplyResult =
  | { readonly state: 'done'; readonly action: string; readonly notes: readonly string[] }
  | { readonly state: 'untouched' }
  | {
      readonly state: 'failed';
      readonly problem: string;
      /** Whether the next objects could fail in the same way. */
      readonly stopsRun: boolean;
    };

export interface ApplyToEachOptions {
  readonly storedWorkloads: readonly StoredWorkload[];
  /** Rejects with the signal's reason, or if the API server does not answer. */
  readonly apply: (stored: StoredWorkload, signal: AbortSignal) => Promise<ApplyResult>;
  readonly print: (line: string) => void;
  /** Receives how many objects are finished. @default no progress is displayed */
  readonly onStep?: (finished: number, total: number) => void;
  /** Stops the run, also in the middle of an object. */
  readonly signal: AbortSignal;
}

/** The failure of one object, after which the run continues. */
export function fail(problem: string): ApplyResult {
  return { state: 'failed', problem, stopsRun: false };
}

export const untouched: ApplyResult = { state: 'untouched' };

export const gone: ApplyResult = { state: 'done', action: 'deleted meanwhile', notes: [] };

/** One failure may concern thousands of objects, so it names the first ones. */
const maxNames = 10;

/**
 * Applies a change to one object after the other, prints each result and continues after a failure. Failures are listed again at
 * the end, each once with its objects. Resolves with whether every object succeeded.
 */
export async function applyToEach({
  storedWorkloads,
  apply,
  print,
  onStep = () => undefined,
  signal,
}: ApplyToEachOptions): Promise<boolean> {
  const counts = new Map<string, number>();
  const failures = new Map<string, string[]>();
  let finished = 0;
  let stopsRun = false;

  for (const stored of storedWorkloads) {
    if (signal.aborted || stopsRun) break;
    onStep(finished, storedWorkloads.length);
    const result = await apply(stored, signal).catch((error: unknown) => {
      if (signal.aborted) return undefined;
      if (!(error instanceof Error)) throw error;
      return fail(error.message);
    });
    if (result === undefined) break;
    finished += 1;
    const outcome = result.state === 'done' ? result.action : result.state;
    counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
    const name = `${stored.namespace} ${formatWorkload(stored)}`;
    if (result.state === 'done') {
      print(`${name}: ${result.action}`);
      for (const note of result.notes) print(`  ${note}`);
    } else if (result.state === 'failed') {
      const names = failures.get(result.problem) ?? [];
      failures.set(result.problem, [...names, name]);
      // A registry that is down fails one object after the other.
      if (names.length < maxNames) print(`${name}: failed: ${result.problem}`);
      stopsRun = result.stopsRun;
    }
  }

  const rest = storedWorkloads.length - finished;
  const parts = [...counts].map(([outcome, count]) => `${count} ${outcome}`);
  if (rest > 0) parts.push(`${rest} not reached`);
  print(`${storedWorkloads.length} objects: ${parts.join(', ') || 'nothing to do'}`);
  if (failures.size > 0) print('failed:');
  for (const [problem, names] of failures) print(`  ${toNames(names)}: ${problem}`);
  if (stopsRun && rest > 0) {
    print(
      'stopped, because the next workloads could fail in the same way: fix the cause and run again',
    );
  }
  return failures.size === 0 && rest === 0;
}

function toNames(names: readonly string[]): string {
  const others = names.length - maxNames;
  const shown = names.slice(0, maxNames).join(', ');
  return others > 0 ? `${shown} and ${others} more` : shown;
}
