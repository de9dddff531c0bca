import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseRolloutStatus } from '../../lib/fleet/rollout-status.ts';
import type { StoredWorkload } from '../../lib/ports/index.ts';
import { storedWorkload } from '../support/fake-store.ts';

function make(workload: string, spec: object, status: object, generation = 2): StoredWorkload {
  const metadata = { name: 'web', namespace: 'shop', generation };
  return storedWorkload(workload, { metadata, spec, status });
}

const seen = { observedGeneration: 2 };

describe('parseRolloutStatus', () => {
  const cases = [
    {
      name: 'a Deployment whose change its controller has not observed',
      stored: make('deployments', { replicas: 1 }, { observedGeneration: 1, updatedReplicas: 1 }),
      expected: { state: 'running', detail: 'its controller has not observed the change yet' },
    },
    {
      name: 'a new Deployment without status',
      stored: make('deployments', {}, {}),
      expected: { state: 'running', detail: 'its controller has not observed the change yet' },
    },
    {
      name: 'a Deployment with pods of the old template',
      stored: make(
        'deployments',
        { replicas: 3 },
        { ...seen, replicas: 4, updatedReplicas: 1, availableReplicas: 3 },
      ),
      expected: { state: 'running', detail: '1 of 3 pods are updated' },
    },
    {
      name: 'a Deployment whose old pods are terminating',
      stored: make(
        'deployments',
        { replicas: 3 },
        { ...seen, replicas: 4, updatedReplicas: 3, availableReplicas: 3 },
      ),
      expected: { state: 'running', detail: '3 of 4 pods are of the new template' },
    },
    {
      name: 'a Deployment that exceeded its progress deadline',
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
      name: 'a Deployment whose pods are available',
      stored: make(
        'deployments',
        { replicas: 2 },
        { ...seen, replicas: 2, updatedReplicas: 2, availableReplicas: 2 },
      ),
      expected: { state: 'done' },
    },
    {
      name: 'a Deployment scaled to zero',
      stored: make('deployments', { replicas: 0 }, seen),
      expected: { state: 'done' },
    },
    {
      name: 'a paused Deployment',
      stored: make('deployments', { replicas: 3, paused: true }, seen),
      expected: { state: 'none' },
    },
    {
      name: 'a DaemonSet with an unavailable pod',
      stored: make(
        'daemonsets',
        {},
        { ...seen, desiredNumberScheduled: 5, updatedNumberScheduled: 5, numberAvailable: 4 },
      ),
      expected: { state: 'running', detail: '4 of 5 pods are available' },
    },
    {
      name: 'a DaemonSet with the update strategy OnDelete',
      stored: make(
        'daemonsets',
        { updateStrategy: { type: 'OnDelete' } },
        { ...seen, desiredNumberScheduled: 5 },
      ),
      expected: { state: 'none' },
    },
    {
      name: 'a StatefulSet that is updated down to its partition',
      stored: make(
        'statefulsets',
        { replicas: 3, updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 2 } } },
        { ...seen, updatedReplicas: 1, readyReplicas: 3 },
      ),
      expected: { state: 'done' },
    },
    {
      name: 'a StatefulSet with pods of the old template',
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
    it(`parses the rollout status of ${name} as ${expected.state}`, () => {
      assert.deepEqual(parseRolloutStatus(stored), expected);
    });
  }
});
