import type { CloneOutcomes } from '../admission/complete.ts';
import type { ReviewPlan } from '../admission/plan.ts';
import type { EnsureUntilDone } from '../cloner/ensure-until-done.ts';

/** Makes the backup hold every image of a plan, however long that takes; with `dryRun`, only looks. */
export async function ensureAll(
  plan: Pick<ReviewPlan, 'images' | 'pod' | 'request'>,
  ensure: EnsureUntilDone,
  { dryRun, signal }: { readonly dryRun: boolean; readonly signal: AbortSignal },
): Promise<CloneOutcomes> {
  const { pod, request } = plan;
  const outcomes = await Promise.all(
    plan.images.map(async ({ key, source, backup }) => {
      const { uid, namespace } = request;
      return [key, await ensure({ source, backup, pod, dryRun, namespace, signal, uid })] as const;
    }),
  );
  return new Map(outcomes);
}
