import type { WorkloadKind } from '../ports/index.ts';

/** Every kind that `WORKLOADS` may list, in the order in which they are walked. All of them are `v1`. */
export const workloadKinds: readonly WorkloadKind[] = [
  toKind('deployments', 'apps', 'Deployment'),
  toKind('daemonsets', 'apps', 'DaemonSet'),
  toKind('statefulsets', 'apps', 'StatefulSet'),
  toKind('cronjobs', 'batch', 'CronJob'),
  toKind('jobs', 'batch', 'Job'),
  toKind('services.serving.knative.dev', 'serving.knative.dev', 'Service'),
  toKind('configurations.serving.knative.dev', 'serving.knative.dev', 'Configuration'),
  toKind('replicasets', 'apps', 'ReplicaSet'),
  toKind('replicationcontrollers', '', 'ReplicationController'),
  toKind('podtemplates', '', 'PodTemplate'),
  toKind('pods', '', 'Pod'),
];

function toKind(workload: string, group: string, kind: string): WorkloadKind {
  const suffix = `.${group}`;
  const plural = workload.endsWith(suffix) ? workload.slice(0, -suffix.length) : workload;
  return { workload, group, plural, kind };
}
