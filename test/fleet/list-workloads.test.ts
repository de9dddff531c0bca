import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type AnnotatedWorkloads,
  listAnnotated,
  workloadKinds,
} from '../../lib/fleet/list-workloads.ts';
import { formatWorkload } from '../../lib/fleet/stored-workload.ts';
import { knownWorkloads } from '../../lib/install/rules.ts';
import type { Namespace } from '../../lib/ports/index.ts';
import { storedWorkload } from '../support/fake-store.ts';

const annotations = { 'image-cloner/original-images': '{}' };
const web = storedWorkload('deployments', {
  metadata: { name: 'web', namespace: 'shop', annotations },
});
const unannotated = storedWorkload('deployments', {
  metadata: { name: 'other', namespace: 'shop' },
});

describe('listAnnotated', () => {
  type List = Parameters<typeof listAnnotated>[0]['store']['list'];

  function find(
    namespaces: readonly string[],
    readNamespace: (name: string) => Promise<Namespace | undefined>,
    list: List = listWeb,
  ): Promise<AnnotatedWorkloads> {
    return listAnnotated({
      store: { list, readNamespace },
      annotations: ['image-cloner/original-images'],
      namespaces,
      signal: new AbortController().signal,
    });
  }

  const known = (name: string): Promise<Namespace | undefined> =>
    Promise.resolve(name === 'shop' ? { name, labels: {} } : undefined);
  const forbidden = (): Promise<never> => Promise.reject(new Error('namespaces is forbidden'));
  const listWeb: List = ({ kind }, namespace) =>
    Promise.resolve(
      kind === 'Deployment' && (namespace ?? 'shop') === 'shop' ? [web, unannotated] : [],
    );

  it('refuses a namespace that does not exist', async () => {
    await assert.rejects(find(['shop', 'shpo'], known), {
      problems: ['namespace shpo does not exist'],
    });
  });

  it('lists annotated workloads of the given namespaces even if it may not read namespaces', async () => {
    for (const readNamespace of [known, forbidden]) {
      const { storedWorkloads, problems } = await find(['shop'], readNamespace);
      assert.deepEqual(storedWorkloads.map(formatWorkload), ['deployment/web']);
      assert.deepEqual(problems, []);
    }
  });

  it('lists annotated workloads of all namespaces, and reads no namespace, if none is given', async () => {
    assert.equal((await find([], forbidden)).storedWorkloads.length, 1);
  });

  it('lists what it may, and says which kinds it could not list', async () => {
    const list: List = (kind, namespace, signal) =>
      kind.kind === 'CronJob'
        ? Promise.reject(new Error('cronjobs is forbidden'))
        : listWeb(kind, namespace, signal);

    const { storedWorkloads, problems } = await find([], known, list);

    assert.deepEqual(storedWorkloads.map(formatWorkload), ['deployment/web']);
    assert.deepEqual(problems, ['cronjobs may hold copies too: cronjobs is forbidden']);
  });

  it('never lists pods, which are not changed while they run', async () => {
    const listed: string[] = [];
    const list: List = ({ kind }) => {
      listed.push(kind);
      return Promise.resolve([]);
    };

    await find([], known, list);

    assert.ok(listed.includes('ReplicaSet'));
    assert.ok(!listed.includes('Pod'));
  });

  it('rejects if Deployments cannot be listed, because then nothing can', async () => {
    const list: List = () => Promise.reject(new Error('the API server does not answer'));

    await assert.rejects(find([], known, list), /the API server does not answer/);
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
