import type { StoredWorkload } from '../ports/index.ts';
import { formatWorkload } from './stored-workload.ts';

/** What became of one object. */
export type StepEnd =
  | { readonly state: 'done'; readonly what: string; readonly notes: readonly string[] }
  | { readonly state: 'untouched' }
  | {
      readonly state: 'failed';
      readonly problem: string;
      /** Going on would do the same to others. */
      readonly endsRun: boolean;
    };

export interface WalkOptions {
  readonly storedWorkloads: readonly StoredWorkload[];
  /** Rejects with the signal's reason, or where the API server does not answer. */
  readonly step: (stored: StoredWorkload, signal: AbortSignal) => Promise<StepEnd>;
  readonly print: (line: string) => void;
  /** Ends the walk after, or in the middle of, the object that it is at. */
  readonly signal: AbortSignal;
}

/**
 * Objects one after the other, each told of as it is done; what fails does not keep the others waiting, and is listed at the end.
 * Resolves with whether all is well.
 */
export async function walk({
  storedWorkloads,
  step,
  print,
  signal,
}: WalkOptions): Promise<boolean> {
  const counts = new Map<string, number>();
  const failures: string[] = [];
  let seen = 0;
  let endsRun = false;

  async function take(stored: StoredWorkload): Promise<StepEnd> {
    try {
      return await step(stored, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      if (!(error instanceof Error)) throw error;
      return { state: 'failed', problem: error.message, endsRun: false };
    }
  }

  for (const stored of storedWorkloads) {
    if (signal.aborted || endsRun) break;
    const name = `${stored.namespace} ${formatWorkload(stored)}`;
    let end: StepEnd;
    try {
      end = await take(stored);
    } catch (error) {
      if (signal.aborted) break;
      throw error;
    }
    seen += 1;
    const what = end.state === 'done' ? end.what : end.state;
    counts.set(what, (counts.get(what) ?? 0) + 1);
    if (end.state === 'done') {
      print(`${name}: ${end.what}`);
      for (const note of end.notes) print(`  ${note}`);
    } else if (end.state === 'failed') {
      failures.push(`${name}: ${end.problem}`);
      print(`${name}: failed: ${end.problem}`);
      endsRun = end.endsRun;
    }
  }

  const rest = storedWorkloads.length - seen;
  const parts = [...counts].map(([what, count]) => `${count} ${what}`);
  print(
    `${storedWorkloads.length} objects: ${[...parts, ...(rest > 0 ? [`${rest} not reached`] : [])].join(', ') || 'nothing to do'}`,
  );
  if (failures.length > 0) print('failed:');
  for (const failure of failures) print(`  ${failure}`);
  if (endsRun && rest > 0)
    print('stopped there, so that no other workload meets the same; mend it and run this again');
  return failures.length === 0 && rest === 0;
}
