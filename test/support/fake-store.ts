import { parseStoredWorkload } from '../../lib/adapters/kubernetes/workload-store.ts';
import { workloadKinds } from '../../lib/fleet/list-workloads.ts';
import type {
  StoredWorkload,
  WorkloadPatch,
  WorkloadStore,
  WriteResult,
} from '../../lib/ports/index.ts';

export interface FakeStore extends Pick<WorkloadStore, 'read' | 'patch'> {
  /** Every patch, in the order of the calls. */
  readonly patches: readonly WorkloadPatch[];
  put(stored: StoredWorkload): void;
}

/** A store of the objects that were put into it. `admit` returns what a write stores, or the result that the write gets instead. */
export function createFakeStore(admit: (object: unknown) => unknown): FakeStore {
  const objects = new Map<string, StoredWorkload>();
  const patches: WorkloadPatch[] = [];
  const keyOf = ({ kind, namespace, name }: StoredWorkload): string =>
    `${namespace}/${kind.plural}/${name}`;
  return {
    patches,
    put: (stored) => void objects.set(keyOf(stored), stored),
    read: (stored) => Promise.resolve(objects.get(keyOf(stored))),
    patch: (before, patch) => {
      patches.push(patch);
      const answer = admit(before.object);
      if (isResult(answer)) return Promise.resolve(answer);
      const stored = parseStoredWorkload(before.kind, answer);
      objects.set(keyOf(stored), stored);
      return Promise.resolve({ status: 'written', stored, warnings: [] });
    },
  };
}

/** An object as the store lists it: `storedWorkload('deployments', {…})`. */
export function storedWorkload(workload: string, object: object): StoredWorkload {
  const kind = workloadKinds.find((known) => known.workload === workload);
  if (kind === undefined) throw new Error(`no kind has the name ${workload}`);
  return parseStoredWorkload(kind, object);
}

function isResult(value: unknown): value is WriteResult {
  return typeof value === 'object' && value !== null && 'status' in value && !('metadata' in value);
}
