import type { WorkloadSecrets } from '../ports/index.ts';
import type { ReviewPlan } from './plan.ts';

/**
 * Kubernetes ignores the pull secrets of the ServiceAccount if a pod names any, so a template that names none gets
 * them together with the backup's. Pods have them already: the ServiceAccount plugin runs before webhooks.
 */
export async function completePullSecrets(
  plan: ReviewPlan,
  secrets: WorkloadSecrets,
  signal: AbortSignal,
): Promise<ReviewPlan> {
  const { workload, pullSecrets, pod } = plan;
  const [name] = pullSecrets.whenCopied;
  if (name === undefined || workload === undefined || pod === undefined) return plan;
  const { namespace, serviceAccount = 'default' } = pod;
  const isBareTemplate = plan.request.kind.kind !== 'Pod' && workload.pullSecrets === undefined;
  const [ofAccount, exists] = await Promise.all([
    isBareTemplate ? secrets.serviceAccountSecrets(namespace, serviceAccount, signal) : [],
    secrets.hasSecret(namespace, name, signal),
  ]);
  const others = (ofAccount ?? []).filter((other) => other !== name);
  const unreadable = `ServiceAccount ${serviceAccount}: its pull secrets cannot be read, and do not apply beside ${name}: run "just pull-secret ${namespace}"`;
  const missing = `pull secret ${name} does not exist: run "just pull-secret ${namespace}"`;
  return {
    ...plan,
    pullSecrets: { ...pullSecrets, whenCopied: [...others, name] },
    warnings: [
      ...plan.warnings,
      ...(ofAccount === undefined ? [unreadable] : []),
      ...(exists === false ? [missing] : []),
    ],
  };
}
