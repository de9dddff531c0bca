import { setTimeout as delay } from 'node:timers/promises';
import * as v from 'valibot';
import { find } from './kubectl.ts';
import { knativeObject } from './manifests/objects.ts';

const pollMs = 500;
/** Knative reports a failure of the generation before, or of a moment, and takes it back. */
const believedAfterMs = 15_000;

/** What an object of Knative's says about itself. */
export interface Readiness {
  /** Undefined: it has not made up its mind. */
  readonly isReady: boolean | undefined;
  readonly uid: string;
  readonly generation: number;
  /** What stands in the way, for a person. */
  readonly reasons: string;
}

export async function readReadiness(...args: readonly string[]): Promise<Readiness | undefined> {
  const found = await find(...args);
  if (found === undefined) return undefined;
  const { metadata, status } = v.parse(knativeObject, found);
  const ready = status.conditions.find(({ type }) => type === 'Ready');
  const isCurrent = status.observedGeneration === metadata.generation;
  return {
    isReady:
      !isCurrent || ready === undefined || ready.status === 'Unknown'
        ? undefined
        : ready.status === 'True',
    uid: metadata.uid,
    generation: metadata.generation,
    reasons: reasonsOf(status.conditions),
  };
}

/** Waits until the object is Ready in its present generation. Rejects with what it says itself. */
export async function waitUntilReady(
  args: readonly string[],
  withinMs: number,
): Promise<Readiness> {
  const end = performance.now() + withinMs;
  let failedSince: number | undefined;
  for (;;) {
    const readiness = await readReadiness(...args);
    if (readiness?.isReady === true) return readiness;
    const now = performance.now();
    failedSince = readiness?.isReady === false ? (failedSince ?? now) : undefined;
    if (failedSince !== undefined && now - failedSince > believedAfterMs) {
      throw new Error(`it says: ${readiness?.reasons ?? ''}`);
    }
    if (now > end) {
      throw new Error(
        `it is not ready after ${withinMs / 1000} s: ${readiness?.reasons ?? 'it is gone'}`,
      );
    }
    await delay(pollMs);
  }
}

function reasonsOf(
  conditions: readonly {
    readonly status: string;
    readonly reason: string;
    readonly message: string;
  }[],
): string {
  const open = conditions.filter(({ status }) => status !== 'True');
  const sentences = open.map(({ reason, message }) => [reason, message].filter(Boolean).join(': '));
  return [...new Set(sentences)].filter(Boolean).join('; ') || 'nothing';
}
