import { toSubject } from '../../lib/adapters/kubernetes/workload-store.ts';
import { workloadKinds } from '../../lib/fleet/kinds.ts';
import type { Subject, WorkloadPatch, WorkloadStore, WriteResult } from '../../lib/ports/index.ts';

export interface FakeStore extends Pick<WorkloadStore, 'read' | 'patch'> {
  /** Every patch that was sent, in order. */
  readonly patches: readonly WorkloadPatch[];
  put(subject: Subject): void;
}

/** A store that knows the objects that it was given. What a write makes of one, or what is answered instead, is the test's to say. */
export function createFakeStore(admit: (object: unknown) => unknown): FakeStore {
  const objects = new Map<string, Subject>();
  const patches: WorkloadPatch[] = [];
  const keyOf = ({ kind, namespace, name }: Subject): string =>
    `${namespace}/${kind.plural}/${name}`;
  return {
    patches,
    put: (subject) => void objects.set(keyOf(subject), subject),
    read: (subject) => Promise.resolve(objects.get(keyOf(subject))),
    patch: (subject, patch) => {
      patches.push(patch);
      const answer = admit(subject.object);
      if (isResult(answer)) return Promise.resolve(answer);
      const stored = toSubject(subject.kind, answer);
      objects.set(keyOf(stored), stored);
      return Promise.resolve({ status: 'written', subject: stored, warnings: [] });
    },
  };
}

/** An object of a kind, as it is listed: `subject('deployments', {…})`. */
export function subject(workload: string, object: object): Subject {
  const kind = workloadKinds.find((known) => known.workload === workload);
  if (kind === undefined) throw new Error(`there is no kind ${workload}`);
  return toSubject(kind, object);
}

function isResult(value: unknown): value is WriteResult {
  return typeof value === 'object' && value !== null && 'status' in value && !('metadata' in value);
}
