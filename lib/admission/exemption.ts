import type { ReviewPolicy } from './policy.ts';
import type { ReviewRequest } from './review.ts';
import type { Workload } from './workload.ts';

const mirrorPodAnnotation = 'kubernetes.io/config.mirror';
const optOutLabel = 'image-cloner';
const knativeServiceLabel = 'serving.knative.dev/service';

/** Controllers that create Pods or Jobs and do not compare their images afterwards. */
const builtInControllers = new Set([
  'apps/ReplicaSet',
  '/ReplicationController',
  'apps/DaemonSet',
  'apps/StatefulSet',
  'batch/Job',
  'batch/CronJob',
]);

/**
 * Owned object ← owner that reverts a patch, so that the two write for ever. `CLONE_ONLY_OWNERS` cannot remove them.
 * A patched ReplicaSet under an unpatched Deployment creates new ReplicaSets without end.
 */
const revertingOwners = new Set([
  'ReplicaSet ← apps/Deployment',
  'Deployment ← serving.knative.dev/Revision',
  'Configuration ← serving.knative.dev/Service',
]);

/** Objects that image-cloner ignores: opted-out objects, mirror pods, and the objects of image-cloner itself. */
export function isExempt(
  workload: Workload,
  request: ReviewRequest,
  policy: ReviewPolicy,
): boolean {
  const { labels, templateLabels, annotations } = workload;
  const own = policy.ownService;
  const isOwn =
    own !== undefined &&
    request.namespace === own.namespace &&
    (labels.get(knativeServiceLabel) === own.name ||
      (request.kind.group === 'serving.knative.dev' && request.name === own.name));
  return (
    isOwn ||
    labels.get(optOutLabel) === 'disabled' ||
    templateLabels.get(optOutLabel) === 'disabled' ||
    // Only on Pods: the kubelet runs no mirror pod of others, and on other kinds the annotation would be an opt-out.
    (request.kind.kind === 'Pod' && annotations.has(mirrorPodAnnotation))
  );
}

/** Whether a controller owns the object and would revert a patch. */
export function isCloneOnly(
  workload: Workload,
  request: ReviewRequest,
  policy: ReviewPolicy,
): boolean {
  const { controller } = workload;
  if (controller === undefined) return false;
  const owner = `${controller.group}/${controller.kind}`;
  if (revertingOwners.has(`${request.kind.kind} ← ${owner}`)) return true;
  const isPodOrJob = request.kind.kind === 'Pod' || request.kind.kind === 'Job';
  if (isPodOrJob && builtInControllers.has(owner)) return false;
  return policy.cloneOnlyOwners.some((listed) => listed === '*' || listed === owner);
}
