import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createAwaitRollout } from '../../lib/fleet/await-rollout.ts';
import { readRollout } from '../../lib/fleet/rollout-status.ts';
import type { StoredWorkload } from '../../lib/ports/index.ts';
import { storedWorkload } from '../support/fake-store.ts';

function make(workload: string, spec: object, status: object, generation = 2): StoredWorkload {
  const metadata = { name: 'web', namespace: 'shop', generation };
  return storedWorkload(workload, { metadata, spec, status });
}

const seen = { observedGeneration: 2 };

describe('readRollout', () => {
  const cases = [
    {
      name: 'a Deployment that nobody has seen yet',
      stored: make('deployments', { replicas: 1 }, { observedGeneration: 1, updatedReplicas: 1 }),
      expected: { state: 'running', detail: 'its controller has not seen the change yet' },
    },
    {
      name: 'a new Deployment without status',
      stored: make('deployments', {}, {}),
      expected: { state: 'running', detail: 'its controller has not seen the change yet' },
    },
    {
      name: 'a Deployment with old pods',
      stored: make(
        'deployments',
        { replicas: 3 },
        { ...seen, replicas: 4, updatedReplicas: 1, availableReplicas: 3 },
      ),
      expected: { state: 'running', detail: '1 of 3 pods are updated' },
    },
    {
      name: 'a Deployment whose old pods are still ending',
      stored: make(
        'deployments',
        { replicas: 3 },
        { ...seen, replicas: 4, updatedReplicas: 3, availableReplicas: 3 },
      ),
      expected: { state: 'running', detail: '3 of 4 pods are of the new template' },
    },
    {
      name: 'a Deployment whose pods cannot pull',
      stored: make(
        'deployments',
        { replicas: 1 },
        {
          ...seen,
          conditions: [
            { type: 'Progressing', status: 'False', reason: 'ProgressDeadlineExceeded' },
          ],
        },
      ),
      expected: { state: 'stuck', detail: 'it exceeded its progress deadline' },
    },
    {
      name: 'a Deployment that is through',
      stored: make(
        'deployments',
        { replicas: 2 },
        { ...seen, replicas: 2, updatedReplicas: 2, availableReplicas: 2 },
      ),
      expected: { state: 'done' },
    },
    {
      name: 'a Deployment scaled to nothing',
      stored: make('deployments', { replicas: 0 }, seen),
      expected: { state: 'done' },
    },
    {
      name: 'a paused Deployment',
      stored: make('deployments', { replicas: 3, paused: true }, seen),
      expected: { state: 'none' },
    },
    {
      name: 'a DaemonSet half way',
      stored: make(
        'daemonsets',
        {},
        { ...seen, desiredNumberScheduled: 5, updatedNumberScheduled: 5, numberAvailable: 4 },
      ),
      expected: { state: 'running', detail: '4 of 5 pods are available' },
    },
    {
      name: 'a DaemonSet that waits for somebody to delete its pods',
      stored: make(
        'daemonsets',
        { updateStrategy: { type: 'OnDelete' } },
        { ...seen, desiredNumberScheduled: 5 },
      ),
      expected: { state: 'none' },
    },
    {
      name: 'a StatefulSet with a partition',
      stored: make(
        'statefulsets',
        { replicas: 3, updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 2 } } },
        { ...seen, updatedReplicas: 1, readyReplicas: 3 },
      ),
      expected: { state: 'done' },
    },
    {
      name: 'a StatefulSet that goes on',
      stored: make('statefulsets', { replicas: 3 }, { ...seen, updatedReplicas: 1 }),
      expected: { state: 'running', detail: '1 of 3 pods are updated' },
    },
    {
      name: 'a Knative Service whose revision failed',
      stored: make(
        'services.serving.knative.dev',
        {},
        { ...seen, conditions: [{ type: 'Ready', status: 'False', reason: 'RevisionFailed' }] },
      ),
      expected: { state: 'stuck', detail: 'it is not ready: RevisionFailed' },
    },
    {
      name: 'a CronJob',
      stored: make('cronjobs', {}, {}),
      expected: { state: 'none' },
    },
  ];
  for (const { name, stored, expected } of cases) {
    it(`reads ${name}`, () => {
      assert.deepEqual(readRollout(stored), expected);
    });
  }
});

describe('createAwaitRollout', () => {
  const busy = make('deployments', { replicas: 2 }, { ...seen, updatedReplicas: 1 });
  const done = make(
    'deployments',
    { replicas: 2 },
    { ...seen, replicas: 2, updatedReplicas: 2, availableReplicas: 2 },
  );

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

  it('ends with the rollout', async () => {
    assert.deepEqual(await wait([busy, done]), { state: 'done' });
  });

  it('ends when the time is over, with how far it is', async () => {
    assert.deepEqual(await wait([busy, busy, busy, done]), {
      state: 'running',
      detail: '1 of 2 pods are updated',
    });
  });

  it('goes on waiting while the API server does not answer, as long as there is time', async () => {
    const silence = new Error('the API server did not answer');

    assert.deepEqual(await wait([silence, done]), { state: 'done' });
    await assert.rejects(wait([busy, silence, silence, done]), silence);
  });

  it('ends when somebody deletes the object', async () => {
    assert.deepEqual(await wait([undefined]), { state: 'gone' });
  });
});
