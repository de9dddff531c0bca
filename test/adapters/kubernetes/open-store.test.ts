import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { openWorkloadStore } from '../../../lib/adapters/kubernetes/open-store.ts';

const { signal } = new AbortController();

/** Nobody listens on these ports: whom it would ask is told by the failure. */
const servers = { a: 'https://127.0.0.1:1', b: 'https://127.0.0.1:2', c: 'https://127.0.0.1:3' };

describe('openWorkloadStore', () => {
  let dir: string;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'kubeconfigs-'));
    const write = async (
      file: string,
      name: string,
      server: string,
      context = name,
    ): Promise<void> =>
      await writeFile(
        join(dir, file),
        JSON.stringify({
          'current-context': context,
          contexts: [{ name, context: { cluster: name, user: name } }],
          users: [{ name, user: { token: 't0ken' } }],
          clusters: [{ name, cluster: { server } }],
        }),
      );
    await write('a', 'one', servers.a);
    await write('b', 'two', servers.b);
    await write('same-names', 'one', servers.c);
    await write('no-current', 'two', servers.b, '');
    await writeFile(join(dir, 'broken'), '{"users":[{"user":{"token":"s3cret');
  });
  after(async () => {
    await rm(dir, { recursive: true });
  });

  async function openFiles(...names: readonly string[]): ReturnType<typeof openWorkloadStore> {
    return await openWorkloadStore({
      kubeconfig: names.map((name) => (name === '' ? '' : join(dir, name))).join(delimiter),
      insideCluster: false,
      fieldManager: 'test',
      sleep: () => Promise.resolve(),
    });
  }

  // As `kubectl config view --minify` says.
  const lists: readonly (readonly [files: readonly string[], server: string])[] = [
    [['a'], servers.a],
    [['a', 'b'], servers.a],
    [['b', 'a'], servers.b],
    [['missing', 'a'], servers.a],
    [['a', 'missing'], servers.a],
    [['', 'a'], servers.a],
    [['a', 'same-names'], servers.a],
    [['same-names', 'a'], servers.c],
    [['no-current', 'a'], servers.a],
  ];
  for (const [files, server] of lists) {
    it(`asks the cluster that kubectl would ask with ${files.join(delimiter)}`, async () => {
      const store = await openFiles(...files);

      await assert.rejects(store.readNamespace('shop', signal), {
        message: new RegExp(`^the API server ${server} did not answer: `),
      });
    });
  }

  it('says what is wrong with a file, and does not quote it', async () => {
    await assert.rejects(openFiles('a', 'broken'), {
      problems: ['a cluster is needed: KUBECONFIG or ~/.kube/config cannot be read'],
    });
  });

  it('wants a cluster', async () => {
    for (const files of [['missing'], ['no-current']]) {
      await assert.rejects(openFiles(...files), {
        problems: ['a cluster is needed: set KUBECONFIG to a file with a current context'],
      });
    }
  });
});
