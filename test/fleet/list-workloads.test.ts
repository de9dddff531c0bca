import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { listAll, workloadKinds } from '../../lib/fleet/list-workloads.ts';
import { formatWorkload } from '../../lib/fleet/stored-workload.ts';
import { knownWorkloads } from '../../lib/install/rules.ts';
import type { Namespace, StoredWorkload } from '../../lib/ports/index.ts';
import { storedWorkload } from '../support/fake-store.ts';

const web = storedWorkload('deployments', { metadata: { name: 'web', namespace: 'shop' } });

describe('listAll', () => {
  function find(
    namespaces: readonly string[],
    readNamespace: (name: string) => Promise<Namespace | undefined>,
  ): Promise<readonly StoredWorkload[]> {
    const list = (_: unknown, namespace?: string): Promise<readonly StoredWorkload[]> =>
      Promise.resolve(namespace === undefined || namespace === 'shop' ? [web] : []);
    return listAll({
      store: { list, readNamespace },
      workloads: ['deployments'],
      namespaces,
      signal: new AbortController().signal,
    });
  }

  const known = (name: string): Promise<Namespace | undefined> =>
    Promise.resolve(name === 'shop' ? { name, labels: {} } : undefined);
  const forbidden = (): Promise<never> => Promise.reject(new Error('namespaces is forbidden'));

  it('refuses a namespace that does not exist', async () => {
    await assert.rejects(find(['shop', 'shpo'], known), {
      problems: ['namespace shpo does not exist'],
    });
  });

  it('lists workloads of the given namespaces even if it may not read namespaces', async () => {
    for (const readNamespace of [known, forbidden]) {
      const found = await find(['shop'], readNamespace);
      assert.deepEqual(found.map(formatWorkload), ['deployment/web']);
    }
  });

  it('lists workloads of all namespaces, and reads no namespace, if none is given', async () => {
    assert.equal((await find([], forbidden)).length, 1);
  });
});

describe('workloadKinds', () => {
  it('has a workload kind for every value of WORKLOADS', () => {
    const workloads = workloadKinds.map(({ workload }) => workload);

    assert.deepEqual(workloads.toSorted(), knownWorkloads.toSorted());
  });

  it('has the API group, plural and kind of each workload kind', () => {
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
