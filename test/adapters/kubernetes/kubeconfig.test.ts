import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { openWorkloadStore } from '../../../lib/adapters/kubernetes/index.ts';
import type { WorkloadStore } from '../../../lib/ports/index.ts';

const { signal } = new AbortController();

/** Nothing listens on these ports: the error names the server that the store used. */
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

  function openFiles(...names: readonly string[]): WorkloadStore {
    return openWorkloadStore({
      kubeconfig: names.map((name) => (name === '' ? '' : join(dir, name))).join(delimiter),
      insideCluster: false,
      fieldManager: 'test',
      sleep: () => Promise.resolve(),
    });
  }

  // As `kubectl config view --minify` prints.
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
    it(`uses the cluster that kubectl uses for KUBECONFIG=${files.join(delimiter)}`, async () => {
      const store = openFiles(...files);

      await assert.rejects(store.readNamespace('shop', signal), {
        message: new RegExp(`^the API server ${server} did not answer: `),
      });
    });
  }

  it('rejects a malformed kubeconfig file without quoting it', () => {
    assert.throws(() => openFiles('a', 'broken'), {
      name: 'ConfigError',
      problems: ['no cluster is configured: KUBECONFIG or ~/.kube/config is not valid'],
    });
  });

  it('rejects kubeconfig files without a current context', () => {
    for (const files of [['missing'], ['no-current']]) {
      assert.throws(() => openFiles(...files), {
        name: 'ConfigError',
        problems: ['no cluster is configured: set KUBECONFIG to a file with a current context'],
      });
    }
  });
});
