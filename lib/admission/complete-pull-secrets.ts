import type { WorkloadSecrets } from '../ports/index.ts';
import type { ReviewPlan } from './plan.ts';

/**
 * A pod that names any pull secret is not given its ServiceAccount's, so where a template names none those are appended
 * with ours. (Pods have them already: the ServiceAccount plugin comes before us.) Says so where the cluster does not tell.
 */
export async function completePullSecrets(
  plan: ReviewPlan,
  secrets: WorkloadSecrets,
  signal: AbortSignal,
): Promise<ReviewPlan> {
  const { workload, pullSecrets, pod } = plan;
  const [name] = pullSecrets.whenCloned;
  if (name === undefined || workload === undefined || pod === undefined) return plan;
  const { namespace, serviceAccount = 'default' } = pod;
  const isTemplate = plan.request.kind.kind !== 'Pod' && workload.pullSecrets === undefined;
  const [own, isThere] = await Promise.all([
    isTemplate ? secrets.serviceAccountSecrets(namespace, serviceAccount, signal) : [],
    secrets.hasSecret(namespace, name, signal),
  ]);
  const others = (own ?? []).filter((other) => other !== name);
  const unknown = `pull secrets of ServiceAccount ${serviceAccount} are unknown, and off now that ${name} is named`;
  const missing = `pull secret ${name} does not exist: run "just pull-secret ${namespace}"`;
  return {
    ...plan,
    pullSecrets: { ...pullSecrets, whenCloned: [...others, name] },
    warnings: [
      ...plan.warnings,
      ...(own === undefined ? [unknown] : []),
      ...(isThere === false ? [missing] : []),
    ],
  };
}
