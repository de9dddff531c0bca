import { ConfigError } from '../errors.ts';
import type { StoredWorkload, WorkloadKind, WorkloadStore } from '../ports/index.ts';
import { hasAnnotation } from './stored-workload.ts';

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
  /** Namespaces of the command line, possibly none. */
  readonly namespaces: readonly string[];
  readonly signal: AbortSignal;
}

interface ListOptedInOptions extends ListOptions {
  readonly store: Pick<WorkloadStore, 'optedInNamespaces' | 'readNamespace' | 'list'>;
  /** Of the label `image-cloner` that opts a namespace in. */
  readonly labelValue: string;
  /** Values of `WORKLOADS`. */
  readonly workloads: readonly string[];
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

interface ListAnnotatedOptions extends ListOptions {
  /** An object needs one of them. */
  readonly annotations: readonly string[];
}

export interface AnnotatedWorkloads {
  readonly storedWorkloads: readonly StoredWorkload[];
  /** One sentence for each kind that could not be listed. */
  readonly problems: readonly string[];
}

/** Pods are not changed while they run, and a cluster has more of them than of everything else. */
const changeableKinds = workloadKinds.filter(({ kind }) => kind !== 'Pod');

/**
 * Lists every annotated workload of the given namespaces or of all, opted in or not. Rejects with `ConfigError` if a given namespace
 * does not exist, and as the store does if Deployments cannot be listed.
 */
export async function listAnnotated({
  store,
  namespaces,
  annotations,
  signal,
}: ListAnnotatedOptions): Promise<AnnotatedWorkloads> {
  await assertEach(namespaces, async (name) => {
    // The right to list workloads does not include the right to read namespaces.
    const namespace = await store.readNamespace(name, signal).catch(() => 'unknown');
    return namespace === undefined ? notFound(name) : undefined;
  });
  const storedWorkloads: StoredWorkload[] = [];
  const problems: string[] = [];
  for (const namespace of namespaces.length === 0 ? [undefined] : namespaces) {
    for (const kind of changeableKinds) {
      try {
        const listed = await store.list(kind, namespace, signal);
        storedWorkloads.push(...listed.filter((stored) => hasAnnotation(stored, annotations)));
      } catch (error) {
        // Without a right, every request fails in the same way; without the API server, there is nothing to restore.
        if (kind.kind === 'Deployment' || signal.aborted || !(error instanceof Error)) throw error;
        problems.push(`${kind.workload} may hold copies too: ${error.message}`);
      }
    }
  }
  return { storedWorkloads, problems };
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
  { store, workloads, signal }: ListOptedInOptions,
  namespaces: readonly string[],
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
