import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { workloadKinds } from '../../lib/fleet/kinds.ts';
import { knownWorkloads } from '../../lib/install/rules.ts';

describe('workloadKinds', () => {
  it('has all that WORKLOADS may list', () => {
    const workloads = workloadKinds.map(({ workload }) => workload);

    assert.deepEqual(workloads.toSorted(), knownWorkloads.toSorted());
  });

  it('knows what the API server calls them', () => {
    const paths = workloadKinds.map(({ group, plural, kind }) => `${group}/${plural} ${kind}`);

    assert.deepEqual(paths.slice(4, 10), [
      'batch/jobs Job',
      'serving.knative.dev/services Service',
      'serving.knative.dev/configurations Configuration',
      'apps/replicasets ReplicaSet',
      '/replicationcontrollers ReplicationController',
      '/podtemplates PodTemplate',
    ]);
  });
});
