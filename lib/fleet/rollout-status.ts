import * as v from 'valibot';
import type { StoredWorkload } from '../ports/index.ts';

/** The state of a rollout; `none` if the kind has no rollout or its rollout is not automatic. */
export type RolloutStatus =
  | { readonly state: 'done' | 'none' }
  | { readonly state: 'running' | 'stuck'; readonly detail: string };

const count = v.optional(v.number(), 0);

const text = v.optional(v.string(), '');

const conditions = v.optional(
  v.array(v.object({ type: v.string(), status: v.string(), reason: text })),
  [],
);

const objectSchema = v.object({
  metadata: v.object({ generation: count }),
  spec: v.optional(
    v.object({
      replicas: v.optional(v.number(), 1),
      paused: v.optional(v.boolean(), false),
      updateStrategy: v.optional(
        v.object({
          type: text,
          rollingUpdate: v.optional(v.nullable(v.object({ partition: count }))),
        }),
        {},
      ),
    }),
    {},
  ),
  status: v.optional(
    v.object({
      observedGeneration: count,
      replicas: count,
      updatedReplicas: count,
      availableReplicas: count,
      readyReplicas: count,
      desiredNumberScheduled: count,
      updatedNumberScheduled: count,
      numberAvailable: count,
      conditions,
    }),
    {},
  ),
});

type Observed = v.InferOutput<typeof objectSchema>;

/** Parses the status of an object as `kubectl rollout status` does (k8s.io/kubectl `polymorphichelpers/rollout_status.go`). */
export function parseRolloutStatus({ kind, object }: StoredWorkload): RolloutStatus {
  const evaluate = evaluators.get(`${kind.group}/${kind.kind}`);
  if (evaluate === undefined) return { state: 'none' };
  const observed = v.parse(objectSchema, object);
  if (observed.status.observedGeneration < observed.metadata.generation) {
    return { state: 'running', detail: 'its controller has not observed the change yet' };
  }
  return evaluate(observed);
}

const evaluators: ReadonlyMap<string, (observed: Observed) => RolloutStatus> = new Map([
  ['apps/Deployment', evaluateDeployment],
  ['apps/DaemonSet', evaluateDaemonSet],
  ['apps/StatefulSet', evaluateStatefulSet],
  ['serving.knative.dev/Service', evaluateKnative],
  ['serving.knative.dev/Configuration', evaluateKnative],
]);

function evaluateDeployment({ spec, status }: Observed): RolloutStatus {
  if (spec.paused) return { state: 'none' };
  const { replicas, updatedReplicas, availableReplicas } = status;
  const isLate = status.conditions.some(({ reason }) => reason === 'ProgressDeadlineExceeded');
  if (isLate) return { state: 'stuck', detail: 'it exceeded its progress deadline' };
  if (updatedReplicas < spec.replicas) return running(updatedReplicas, spec.replicas, 'updated');
  if (replicas > updatedReplicas) return running(updatedReplicas, replicas, 'of the new template');
  if (availableReplicas < updatedReplicas) {
    return running(availableReplicas, updatedReplicas, 'available');
  }
  return { state: 'done' };
}

function evaluateDaemonSet({ spec, status }: Observed): RolloutStatus {
  if (spec.updateStrategy.type === 'OnDelete') return { state: 'none' };
  const { desiredNumberScheduled: wanted, updatedNumberScheduled, numberAvailable } = status;
  if (updatedNumberScheduled < wanted) return running(updatedNumberScheduled, wanted, 'updated');
  return numberAvailable < wanted
    ? running(numberAvailable, wanted, 'available')
    : { state: 'done' };
}

function evaluateStatefulSet({ spec, status }: Observed): RolloutStatus {
  if (spec.updateStrategy.type === 'OnDelete') return { state: 'none' };
  const partition = spec.updateStrategy.rollingUpdate?.partition ?? 0;
  const wanted = Math.max(0, spec.replicas - partition);
  if (status.updatedReplicas < wanted) return running(status.updatedReplicas, wanted, 'updated');
  return status.readyReplicas < spec.replicas
    ? running(status.readyReplicas, spec.replicas, 'ready')
    : { state: 'done' };
}

function evaluateKnative({ status }: Observed): RolloutStatus {
  const ready = status.conditions.find(({ type }) => type === 'Ready');
  if (ready?.status === 'True') return { state: 'done' };
  return ready?.status === 'False'
    ? { state: 'stuck', detail: `it is not ready: ${ready.reason}` }
    : { state: 'running', detail: 'it is not ready yet' };
}

function running(done: number, of: number, what: string): RolloutStatus {
  return { state: 'running', detail: `${done} of ${of} pods are ${what}` };
}
