import type { ReviewPolicy } from './policy.ts';
import type { ReviewRequest } from './review.ts';
import type { Workload } from './workload.ts';

const mirrorPodAnnotation = 'kubernetes.io/config.mirror';
const optOutLabel = 'image-cloner';
const knativeServiceLabel = 'serving.knative.dev/service';

/** Controllers that create Pods or Jobs and do not compare their images afterwards. */
const indifferentControllers = new Set([
  'apps/ReplicaSet',
  '/ReplicationController',
  'apps/DaemonSet',
  'apps/StatefulSet',
  'batch/Job',
  'batch/CronJob',
]);

/**
 * Owned object ← owner that puts its own image back for ever, whatever `CLONE_ONLY_OWNERS` says: a rewritten ReplicaSet
 * under an unrewritten Deployment makes new ReplicaSets without end.
 */
const knownFighters = new Set([
  'ReplicaSet ← apps/Deployment',
  'Deployment ← serving.knative.dev/Revision',
  'Configuration ← serving.knative.dev/Service',
]);

/** They sleep inside one of few workers when they are told to come back later. */
export function isClusterController(username: string): boolean {
  return (
    username === 'system:kube-controller-manager' ||
    /^system:serviceaccount:(kube-system|knative-serving):/.test(username)
  );
}

/**
 * Whoever repeats a write by himself until it succeeds: GitOps and operators by their ServiceAccounts, the cluster's own parts.
 * `system:admin` is a person in some distributions.
 */
export function isController(username: string): boolean {
  return /^system:(serviceaccount:|node:|kube-|apiserver$)/.test(username);
}

/** Objects that are left alone as a whole: opted out, mirror pods, and what we ourselves are made of. */
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
    // The kubelet never runs one that is not its own; on other kinds the annotation means nothing, and anybody may write it.
    (request.kind.kind === 'Pod' && annotations.has(mirrorPodAnnotation))
  );
}

/** Whether a controller owns the object and would put its own images back for ever. */
export function isCloneOnly(
  workload: Workload,
  request: ReviewRequest,
  policy: ReviewPolicy,
): boolean {
  const { controller } = workload;
  if (controller === undefined) return false;
  const owner = `${controller.group}/${controller.kind}`;
  if (knownFighters.has(`${request.kind.kind} ← ${owner}`)) return true;
  const isMade = request.kind.kind === 'Pod' || request.kind.kind === 'Job';
  if (isMade && indifferentControllers.has(owner)) return false;
  return policy.cloneOnlyOwners.some((listed) => listed === '*' || listed === owner);
}
