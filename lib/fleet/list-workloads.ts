import { ConfigError } from '../errors.ts';
import type { StoredWorkload, WorkloadKind, WorkloadStore } from '../ports/index.ts';

/** Every kind that `WORKLOADS` may list, in the order of the listing. All of them are `v1`. */
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

interface ListOptions {
  readonly store: Pick<WorkloadStore, 'readNamespace' | 'list'>;
  /** Values of `WORKLOADS`. */
  readonly workloads: readonly string[];
  /** Namespaces of the command line, possibly none. */
  readonly namespaces: readonly string[];
  readonly signal: AbortSignal;
}

interface ListOptedInOptions extends ListOptions {
  readonly store: Pick<WorkloadStore, 'optedInNamespaces' | 'readNamespace' | 'list'>;
  /** Of the label `image-cloner` that opts a namespace in. */
  readonly labelValue: string;
  /** Namespaces that the webhook never reviews. */
  readonly excluded: readonly string[];
}

/**
 * Lists every workload that the webhook reviews, in the given namespaces or in all that are opted in.
 * Rejects with `ConfigError` if the webhook does not review a given namespace.
 */
export async function listOptedIn(options: ListOptedInOptions): Promise<readonly StoredWorkload[]> {
  const { store, namespaces, labelValue, excluded, signal } = options;
  if (namespaces.length === 0) {
    const optedIn = (await store.optedInNamespaces(labelValue, signal)).map(({ name }) => name);
    const reviewed = optedIn.filter((name) => !excluded.includes(name));
    return await listEach(options, reviewed);
  }
  await assertEach(namespaces, async (name) => {
    if (excluded.includes(name)) return `namespace ${name} is excluded: image-cloner needs it`;
    const namespace = await store.readNamespace(name, signal);
    if (namespace === undefined) return notFound(name);
    return namespace.labels['image-cloner'] === labelValue
      ? undefined
      : `namespace ${name} is not opted in: kubectl label namespace ${name} image-cloner=${labelValue}`;
  });
  return await listEach(options, namespaces);
}

/**
 * Lists every workload of the given namespaces or of all, opted in or not.
 * Rejects with `ConfigError` if a given namespace does not exist.
 */
export async function listAll(options: ListOptions): Promise<readonly StoredWorkload[]> {
  const { store, namespaces, signal } = options;
  await assertEach(namespaces, async (name) => {
    // The right to list workloads does not include the right to read namespaces.
    const namespace = await store.readNamespace(name, signal).catch(() => 'unknown');
    return namespace === undefined ? notFound(name) : undefined;
  });
  return await listEach(options, namespaces.length === 0 ? [undefined] : namespaces);
}

async function assertEach(
  namespaces: readonly string[],
  check: (name: string) => Promise<string | undefined>,
): Promise<void> {
  const checked = await Promise.all(namespaces.map(check));
  const problems = checked.filter((problem) => problem !== undefined);
  if (problems.length > 0) throw new ConfigError(problems);
}

async function listEach(
  { store, workloads, signal }: ListOptions,
  namespaces: readonly (string | undefined)[],
): Promise<readonly StoredWorkload[]> {
  const kinds = workloadKinds.filter(({ workload }) => workloads.includes(workload));
  const listed: StoredWorkload[] = [];
  for (const namespace of namespaces) {
    for (const kind of kinds) listed.push(...(await store.list(kind, namespace, signal)));
  }
  return listed;
}

function notFound(namespace: string): string {
  return `namespace ${namespace} does not exist`;
}

function toKind(workload: string, group: string, kind: string): WorkloadKind {
  const [plural = workload] = workload.split('.');
  return { workload, group, plural, kind };
}
