import type { EnsureUntilDone } from '../../lib/cloner/ensure-until-done.ts';
import { type CloneOutcome, formatReference, type ReviewPolicy } from '../../lib/index.ts';
import { formatBytes } from '../../lib/util/quantity.ts';
import { mapConcurrently } from '../../lib/util/semaphore.ts';
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

/** The result of an image in the totals. */
const labels = {
  copied: 'copied',
  present: 'there already',
  planned: 'would be copied',
  fallback: 'from the backup',
} as const;

interface ImageResult {
  readonly result: (typeof labels)[keyof typeof labels] | 'ignored' | 'failed';
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
  switch (plan.state) {
    case 'refused':
      return failed(name, plan.reason);
    case 'ignored':
      return { result: 'ignored', lines: [`${name}: ignored: ${plan.reason}`] };
    case 'copy': {
      const { source, backup } = plan;
      return toResult(name, await ensureBackup({ source, backup, dryRun, signal, uid: 'clone' }));
    }
  }
}

function toResult(name: string, outcome: CloneOutcome): ImageResult {
  if (outcome.status === 'failed') return failed(name, outcome.error.message);
  if (outcome.status === 'pending') return failed(name, `not finished: ${outcome.detail}`);
  const { result, image, bytes, durationMs, warnings } = outcome;
  const seconds = (durationMs / 1000).toFixed(1);
  const texts = {
    copied: `copied, ${formatBytes(bytes)} in ${seconds} s`,
    present: 'there already',
    planned: 'would be copied',
    fallback: 'there already',
  };
  const line = `${name} -> ${formatReference(image)}: ${texts[result]}`;
  return { result: labels[result], lines: [line, ...warnings.map((warning) => `  ${warning}`)] };
}

function failed(name: string, reason: string): ImageResult {
  return { result: 'failed', lines: [`${name}: failed: ${reason}`] };
}
