import { ConfigError } from '../errors.ts';
import type { StoredWorkload, WorkloadKind, WorkloadStore } from '../ports/index.ts';
import { workloadKinds } from './kinds.ts';

export interface FindOptions {
  readonly store: Pick<WorkloadStore, 'optedInNamespaces' | 'readNamespace' | 'list'>;
  /** As `WORKLOADS` lists them. */
  readonly workloads: readonly string[];
  /** Namespaces that somebody named. Empty: all that are opted in. */
  readonly namespaces: readonly string[];
  /** Namespaces that are never looked into. */
  readonly excluded: readonly string[];
  readonly signal: AbortSignal;
}

/**
 * Every workload that the webhook would be asked about. Rejects with `ConfigError` where a namespace was named that it would
 * not be asked about.
 */
export async function listOptedIn(options: FindOptions): Promise<readonly StoredWorkload[]> {
  const { store, namespaces, excluded, signal } = options;
  if (namespaces.length === 0) {
    const all = (await store.optedInNamespaces(signal)).map(({ name }) => name);
    return await listEach(
      options,
      all.filter((name) => !excluded.includes(name)),
    );
  }
  const problems = await Promise.all(
    namespaces.map(async (name) => {
      if (excluded.includes(name)) return [`namespace ${name} is excluded: image-cloner needs it`];
      const found = await store.readNamespace(name, signal);
      if (found === undefined) return [`there is no namespace ${name}`];
      return found.labels['image-cloner'] === 'enabled'
        ? []
        : [
            `namespace ${name} is not opted in: kubectl label namespace ${name} image-cloner=enabled`,
          ];
    }),
  );
  if (problems.flat().length > 0) throw new ConfigError(problems.flat());
  return await listEach(options, namespaces);
}

/**
 * Every workload of the namespaces, or of all where none is named; labels of namespaces do not matter. Rejects with `ConfigError`
 * where one was named that does not exist.
 */
export async function listAll(
  options: Omit<FindOptions, 'excluded' | 'store'> & {
    readonly store: Pick<WorkloadStore, 'list' | 'readNamespace'>;
  },
): Promise<readonly StoredWorkload[]> {
  const { store, namespaces, signal } = options;
  const problems = await Promise.all(
    namespaces.map(async (name) => {
      // Who may not look at it may still work in it.
      const found = await store.readNamespace(name, signal).catch(() => 'unknown');
      return found === undefined ? [`there is no namespace ${name}`] : [];
    }),
  );
  if (problems.flat().length > 0) throw new ConfigError(problems.flat());
  return await listEach(options, namespaces.length === 0 ? [undefined] : namespaces);
}

async function listEach(
  {
    store,
    workloads,
    signal,
  }: Pick<FindOptions, 'workloads' | 'signal'> & {
    readonly store: Pick<WorkloadStore, 'list'>;
  },
  namespaces: readonly (string | undefined)[],
): Promise<readonly StoredWorkload[]> {
  const kinds: readonly WorkloadKind[] = workloadKinds.filter(({ workload }) =>
    workloads.includes(workload),
  );
  const storedWorkloads: StoredWorkload[] = [];
  for (const namespace of namespaces) {
    for (const kind of kinds) storedWorkloads.push(...(await store.list(kind, namespace, signal)));
  }
  return storedWorkloads;
}
