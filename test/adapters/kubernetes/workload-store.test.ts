import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { KubeConfig } from '@kubernetes/client-node';
import { createWorkloadStore } from '../../../lib/adapters/kubernetes/workload-store.ts';
import type { WorkloadStore } from '../../../lib/ports/index.ts';
import { storedWorkload } from '../../support/fake-store.ts';

interface Reply {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: unknown;
}

const { signal } = new AbortController();
const web = storedWorkload('deployments', { metadata: { name: 'web', namespace: 'shop' } });
const stored = { metadata: { name: 'web', namespace: 'shop', resourceVersion: '2' } };

describe('createWorkloadStore', () => {
  let server: Server;
  let store: WorkloadStore;
  let replies: Reply[];
  let requests: { readonly line: string; readonly type: string; readonly body: string }[];
  let slept: number[];
  let connections: number;

  beforeEach(async () => {
    [replies, requests, slept, connections] = [[], [], [], 0];
    server = createServer((request, response) => {
      void text(request).then((body) => {
        const { method = '', url = '', headers } = request;
        requests.push({ line: `${method} ${url}`, type: headers['content-type'] ?? '', body });
        const reply = replies.shift() ?? { status: 500, body: {} };
        response.writeHead(reply.status ?? 200, reply.headers ?? {});
        response.end(typeof reply.body === 'string' ? reply.body : JSON.stringify(reply.body));
      });
    });
    server.on('connection', () => (connections += 1));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    const config = new KubeConfig();
    config.loadFromOptions({
      clusters: [{ name: 'fake', server: `http://127.0.0.1:${port}/`, skipTLSVerify: true }],
      users: [{ name: 'us', token: 't0ken' }],
      contexts: [{ name: 'fake', cluster: 'fake', user: 'us' }],
      currentContext: 'fake',
    });
    store = createWorkloadStore({
      config,
      fieldManager: 'image-cloner-backfill',
      sleep: (ms) => {
        slept.push(ms);
        return Promise.resolve();
      },
    });
  });
  afterEach(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });

  const waits: string[] = [];
  function patch(): ReturnType<WorkloadStore['patch']> {
    waits.length = 0;
    const options = { signal, onWait: (message: string) => void waits.push(message) };
    return store.patch(web, { type: 'merge', body: { metadata: {} } }, options);
  }

  it('lists all pages of workloads over one connection', async () => {
    replies = [
      { body: { metadata: { continue: 'a b' }, items: [stored] } },
      ...Array.from({ length: 8 }, () => ({ body: { metadata: { continue: 'c' }, items: [] } })),
      { body: { metadata: {}, items: [{ metadata: { name: 'x', namespace: 'shop' } }] } },
    ];

    const subjects = await store.list(web.kind, 'shop', signal);

    assert.deepEqual(
      subjects.map(({ name }) => name),
      ['web', 'x'],
    );
    assert.deepEqual(requests.map(({ line }) => line).slice(0, 2), [
      'GET /apis/apps/v1/namespaces/shop/deployments?limit=500&continue=',
      'GET /apis/apps/v1/namespaces/shop/deployments?limit=500&continue=a%20b',
    ]);
    assert.equal(requests.length, 10);
    assert.ok(connections <= 2, String(connections));
  });

  it('lists no workloads of a kind that the cluster does not have', async () => {
    replies = [{ status: 404, body: 'page not found' }];

    assert.deepEqual(await store.list(web.kind, undefined, signal), []);
  });

  it('names the resource that RBAC does not allow reading', async () => {
    replies = [{ status: 403, body: { message: 'deployments.apps is forbidden' } }];

    await assert.rejects(store.list(web.kind, 'shop', signal), {
      message: 'cannot read deployments in shop from the API server: deployments.apps is forbidden',
    });
  });

  it('patches a workload with its field manager, and returns the stored object and the warnings', async () => {
    replies = [
      {
        headers: { warning: '299 - "one \\"quoted\\", comma", 299 - "two"' },
        body: stored,
      },
    ];

    const result = await patch();

    assert.deepEqual(requests, [
      {
        line: 'PATCH /apis/apps/v1/namespaces/shop/deployments/web?fieldManager=image-cloner-backfill',
        type: 'application/merge-patch+json',
        body: '{"metadata":{}}',
      },
    ]);
    assert.deepEqual(result, {
      status: 'written',
      stored: { ...web, object: stored },
      warnings: ['one "quoted", comma', 'two'],
    });
  });

  it('retries a patch after Retry-After, as kubectl does', async () => {
    const busy = {
      status: 504,
      headers: { 'retry-after': '3' },
      body: { message: 'still copying nginx:1.27: 43 %' },
    };
    replies = [busy, busy, { body: stored }];

    const result = await patch();

    assert.equal(result.status, 'written');
    assert.deepEqual(slept, [3_000, 3_000]);
    assert.deepEqual(waits, ['still copying nginx:1.27: 43 %', 'still copying nginx:1.27: 43 %']);
  });

  it('retries reads after Retry-After of an overloaded API server', async () => {
    const busy = { status: 429, headers: { 'retry-after': '1' }, body: 'Too many requests' };
    replies = [busy, { body: { metadata: {}, items: [stored] } }, busy, { body: stored }];

    assert.equal((await store.list(web.kind, 'shop', signal)).length, 1);
    assert.equal((await store.read(web, signal))?.name, 'web');
    assert.deepEqual(slept, [1_000, 1_000]);
  });

  it('stops after ten retries of a patch', async () => {
    const busy = { status: 504, headers: { 'retry-after': '1' }, body: { message: 'busy' } };
    replies = Array.from({ length: 20 }, () => busy);

    assert.deepEqual(await patch(), { status: 'refused', message: 'busy' });
    assert.equal(requests.length, 11);
  });

  it('does not retry a patch that was denied', async () => {
    replies = [{ status: 403, body: { message: 'admission webhook denied the request: no' } }];

    assert.deepEqual(await patch(), {
      status: 'refused',
      message: 'admission webhook denied the request: no',
    });
    assert.equal(requests.length, 1);
  });

  it('reports a deleted workload as gone', async () => {
    replies = [{ status: 404, body: {} }];

    assert.deepEqual(await patch(), { status: 'gone' });
  });
});
