import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createAwaitRollout } from '../../lib/fleet/await-rollout.ts';
import type { StoredWorkload } from '../../lib/ports/index.ts';
import { storedWorkload } from '../support/fake-store.ts';

/** A Deployment of two replicas. */
function deployment(status: object): StoredWorkload {
  const metadata = { name: 'web', namespace: 'shop', generation: 2 };
  return storedWorkload('deployments', {
    metadata,
    spec: { replicas: 2 },
    status: { observedGeneration: 2, ...status },
  });
}

describe('createAwaitRollout', () => {
  const busy = deployment({ updatedReplicas: 1 });
  const done = deployment({ replicas: 2, updatedReplicas: 2, availableReplicas: 2 });

  function wait(
    answers: readonly (StoredWorkload | Error | undefined)[],
  ): ReturnType<ReturnType<typeof createAwaitRollout>> {
    let clock = 0;
    const left = [...answers];
    const awaitRollout = createAwaitRollout({
      store: {
        read: () => {
          const answer = left.shift();
          return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
        },
      },
      now: () => clock,
      sleep: async (ms) => {
        clock += ms;
        await Promise.resolve();
      },
      timeoutMs: 5_000,
    });
    return awaitRollout(busy, new AbortController().signal);
  }

  it('the wait for a rollout ends when the rollout is complete', async () => {
    assert.deepEqual(await wait([busy, done]), { state: 'done' });
  });

  it('the wait for a rollout ends with the last status when the timeout has elapsed', async () => {
    assert.deepEqual(await wait([busy, busy, busy, done]), {
      state: 'running',
      detail: '1 of 2 pods are updated',
    });
  });

  it('the wait for a rollout retries until the timeout while the API server does not answer', async () => {
    const silence = new Error('the API server did not answer');

    assert.deepEqual(await wait([silence, done]), { state: 'done' });
    await assert.rejects(wait([busy, silence, silence, done]), silence);
  });

  it('the wait for a rollout ends when the object is deleted', async () => {
    assert.deepEqual(await wait([undefined]), { state: 'gone' });
  });
});
