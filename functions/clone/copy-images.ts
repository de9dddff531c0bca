import type { EnsureUntilDone } from '../../lib/cloner/ensure-until-done.ts';
import { type CloneOutcome, formatReference, type ReviewPolicy } from '../../lib/index.ts';
import { mapConcurrently } from '../../lib/util/semaphore.ts';
import { formatMebibytes } from '../shared/progress-display.ts';
import { type ImagePlan, planImage } from './plan-image.ts';

export interface CopyImagesOptions {
  readonly images: readonly string[];
  readonly policy: ReviewPolicy;
  readonly ensureBackup: EnsureUntilDone;
  readonly maxConcurrent: number;
  readonly dryRun: boolean;
  readonly print: (line: string) => void;
  readonly signal: AbortSignal;
}

interface ImageResult {
  readonly result:
    | 'copied'
    | 'there already'
    | 'would be copied'
    | 'from the backup'
    | 'left alone'
    | 'failed'
    | 'not reached';
  readonly lines: readonly string[];
}

/** Makes the backup hold every image and prints each result at once. Resolves with whether the backup holds them all. */
export async function copyImages(options: CopyImagesOptions): Promise<boolean> {
  const { images, policy, maxConcurrent, print, signal } = options;
  const plans = images.map((image) => planImage(image, policy));
  const results = await mapConcurrently(plans, maxConcurrent, async (plan) => {
    if (signal.aborted) return 'not reached';
    const { result, lines } = await copyImage(plan, options);
    for (const line of lines) print(line);
    return result;
  });
  const counts = Map.groupBy(results, (result) => result);
  const parts = [...counts].map(([result, all]) => `${all.length} ${result}`);
  print(`${images.length} images: ${parts.join(', ')}`);
  return results.every((result) => result !== 'not reached' && result !== 'failed');
}

async function copyImage(
  plan: ImagePlan,
  { ensureBackup, dryRun, signal }: CopyImagesOptions,
): Promise<ImageResult> {
  const { name } = plan;
  if (plan.state !== 'copy') {
    return plan.state === 'refused'
      ? failed(name, plan.reason)
      : { result: 'left alone', lines: [`${name}: left alone: ${plan.reason}`] };
  }
  const { source, backup } = plan;
  return toResult(name, await ensureBackup({ source, backup, dryRun, signal, uid: 'clone' }));
}

function toResult(name: string, outcome: CloneOutcome): ImageResult {
  if (outcome.status === 'failed') return failed(name, outcome.error.message);
  if (outcome.status === 'pending') return failed(name, `not finished: ${outcome.detail}`);
  const target = formatReference(outcome.image);
  const toLines = (text: string): readonly string[] => [
    `${name} -> ${target}: ${text}`,
    ...outcome.warnings.map((warning) => `  ${warning}`),
  ];
  switch (outcome.result) {
    case 'copied': {
      const seconds = (outcome.durationMs / 1000).toFixed(1);
      const size = `${formatMebibytes(outcome.bytes)} MiB in ${seconds} s`;
      return { result: 'copied', lines: toLines(`copied, ${size}`) };
    }
    case 'present':
      return { result: 'there already', lines: toLines('there already') };
    case 'planned':
      return { result: 'would be copied', lines: toLines('would be copied') };
    case 'fallback':
      return { result: 'from the backup', lines: toLines('there already') };
  }
}

function failed(name: string, reason: string): ImageResult {
  return { result: 'failed', lines: [`${name}: failed: ${reason}`] };
}
