import type { EnsureUntilDone } from '../../lib/cloner/ensure-until-done.ts';
import { type CloneOutcome, formatReference, type ReviewPolicy } from '../../lib/index.ts';
import { createSemaphore } from '../../lib/util/semaphore.ts';
import { formatMebibytes } from '../shared/progress-display.ts';
import { toWanted, type Wanted } from './plan-image.ts';

export interface CopyNamesOptions {
  readonly names: readonly string[];
  readonly policy: ReviewPolicy;
  readonly ensure: EnsureUntilDone;
  /** Images that are looked at or copied at once. */
  readonly atOnce: number;
  readonly dryRun: boolean;
  readonly print: (line: string) => void;
  readonly signal: AbortSignal;
}

type End =
  | 'copied'
  | 'there already'
  | 'would be copied'
  | 'from the backup'
  | 'left alone'
  | 'failed';

interface Told {
  readonly end: End;
  readonly lines: readonly string[];
}

/** Makes the backup hold every image, and tells of each as it is done. Resolves with whether it holds them all now. */
export async function copyNames(options: CopyNamesOptions): Promise<boolean> {
  const { names, policy, atOnce, print, signal } = options;
  const limit = createSemaphore(atOnce);
  const wanted = names.map((name) => toWanted(name, policy));
  const ends = await Promise.all(
    wanted.map((each) =>
      limit.run(async () => {
        if (signal.aborted) return undefined;
        const { end, lines } = await tell(each, options);
        for (const line of lines) print(line);
        return end;
      }),
    ),
  );
  const counts = Map.groupBy(
    ends.map((end) => end ?? 'not reached'),
    (end) => end,
  );
  const parts = [...counts].map(([end, all]) => `${all.length} ${end}`);
  print(`${names.length} images: ${parts.join(', ')}`);
  return ends.every((end) => end !== undefined && end !== 'failed');
}

async function tell(wanted: Wanted, { ensure, dryRun, signal }: CopyNamesOptions): Promise<Told> {
  if (wanted.state !== 'wanted') {
    const { state, name, reason } = wanted;
    return state === 'refused'
      ? failed(name, reason)
      : { end: 'left alone', lines: [`${name}: left alone: ${reason}`] };
  }
  const { name, source, backup } = wanted;
  return describe(name, await ensure({ source, backup, dryRun, signal, uid: 'clone' }));
}

function describe(name: string, outcome: CloneOutcome): Told {
  if (outcome.status === 'failed') return failed(name, outcome.error.message);
  if (outcome.status === 'pending') return failed(name, `not finished: ${outcome.detail}`);
  const target = formatReference(outcome.image);
  const warnings = outcome.warnings.map((warning) => `  ${warning}`);
  switch (outcome.result) {
    case 'copied': {
      const seconds = (outcome.durationMs / 1000).toFixed(1);
      const size = `${formatMebibytes(outcome.bytes)} MiB in ${seconds} s`;
      return { end: 'copied', lines: [`${name} -> ${target}: copied, ${size}`, ...warnings] };
    }
    case 'present':
      return { end: 'there already', lines: [`${name} -> ${target}: there already`, ...warnings] };
    case 'planned':
      return {
        end: 'would be copied',
        lines: [`${name} -> ${target}: would be copied`, ...warnings],
      };
    case 'fallback':
      return {
        end: 'from the backup',
        lines: [`${name} -> ${target}: there already`, ...warnings],
      };
  }
}

function failed(name: string, reason: string): Told {
  return { end: 'failed', lines: [`${name}: failed: ${reason}`] };
}
