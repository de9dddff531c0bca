import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { listAll } from '../../lib/fleet/list-workloads.ts';
import { formatWorkload } from '../../lib/fleet/stored-workload.ts';
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

  it('says that a namespace is misspelt, where the API server would list nothing in it', async () => {
    await assert.rejects(find(['shop', 'shpo'], known), {
      problems: ['there is no namespace shpo'],
    });
  });

  it('lists what was named, also for who may not look at namespaces', async () => {
    for (const readNamespace of [known, forbidden]) {
      const found = await find(['shop'], readNamespace);
      assert.deepEqual(found.map(formatWorkload), ['deployment/web']);
    }
  });

  it('lists all where none is named, and looks at none', async () => {
    assert.equal((await find([], forbidden)).length, 1);
  });
});
