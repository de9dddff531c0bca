import { setTimeout as delay } from 'node:timers/promises';
import * as v from 'valibot';
import { findObject } from '../kubectl.ts';
import { deploymentObject, knativeObject } from '../objects.ts';

const pollMs = 500;
/** Knative can report a failure of the previous generation, or a temporary one. */
const failureSettlesAfterMs = 15_000;

/** The status of a Knative object or a Deployment. */
export interface Readiness {
  /** `undefined` while Knative has not decided. */
  readonly isReady: boolean | undefined;
  readonly uid: string;
  readonly generation: number;
  /** Reasons and messages of the conditions that are not True. */
  readonly reasons: string;
}

/** `args` are those of `kubectl get`: the kind, the name, the namespace. */
export async function readReadiness(...args: readonly string[]): Promise<Readiness | undefined> {
  return args[0] === 'deployment' ? await readDeployment(args) : await readKnative(args);
}

/** All pods run the present template, and none of an older one is left. */
async function readDeployment(args: readonly string[]): Promise<Readiness | undefined> {
  const object = await findObject(deploymentObject, ...args);
  if (object === undefined) return undefined;
  const { metadata, spec, status } = object;
  const { updatedReplicas, availableReplicas, replicas } = status;
  const isCurrent = status.observedGeneration === metadata.generation;
  const isComplete = [updatedReplicas, availableReplicas, replicas].every(
    (count) => count === spec.replicas,
  );
  const hasFailed = status.conditions.some(
    ({ type, status }) => type === 'Progressing' && status === 'False',
  );
  const isSettled = isCurrent && (isComplete || hasFailed);
  return {
    isReady: isSettled ? isComplete : undefined,
    uid: metadata.uid,
    generation: metadata.generation,
    reasons: `${availableReplicas} of ${spec.replicas} pods are available; ${toReasons(status)}`,
  };
}

async function readKnative(args: readonly string[]): Promise<Readiness | undefined> {
  const object = await findObject(knativeObject, ...args);
  if (object === undefined) return undefined;
  const { metadata, status } = object;
  const ready = status.conditions.find(({ type }) => type === 'Ready');
  const isCurrent = status.observedGeneration === metadata.generation;
  return {
    isReady:
      !isCurrent || ready === undefined || ready.status === 'Unknown'
        ? undefined
        : ready.status === 'True',
    uid: metadata.uid,
    generation: metadata.generation,
    reasons: toReasons(status),
  };
}

/** Waits until the object is Ready in its present generation. Rejects with the reasons of its conditions. */
export async function waitUntilReady(
  args: readonly string[],
  timeoutMs: number,
): Promise<Readiness> {
  const end = performance.now() + timeoutMs;
  let failedSince: number | undefined;
  for (;;) {
    const readiness = await readReadiness(...args);
    if (readiness?.isReady === true) return readiness;
    const now = performance.now();
    failedSince = readiness?.isReady === false ? (failedSince ?? now) : undefined;
    if (failedSince !== undefined && now - failedSince > failureSettlesAfterMs) {
      throw new Error(`not ready: ${readiness?.reasons ?? ''}`);
    }
    if (now > end) {
      throw new Error(
        `not ready after ${timeoutMs / 1000} s: ${readiness?.reasons ?? 'the object was deleted'}`,
      );
    }
    await delay(pollMs);
  }
}

function toReasons({
  conditions,
}: Pick<v.InferOutput<typeof knativeObject>['status'], 'conditions'>): string {
  const open = conditions.filter(({ status }) => status !== 'True');
  const sentences = open.map(({ reason, message }) => [reason, message].filter(Boolean).join(': '));
  return [...new Set(sentences)].filter(Boolean).join('; ') || 'no reason was given';
}
