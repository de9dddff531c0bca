import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { createLeaseStore } from '../../../lib/adapters/kubernetes/lease-store.ts';
import type { CopyLease, LeaseStore } from '../../../lib/index.ts';
import { createMemoryLog, type MemoryLog } from '../../support/memory-log.ts';
import { type FakeAnswer, type FakeApi, startFakeApi } from './fake-api.ts';

const { signal } = new AbortController();
const all = '/apis/coordination.k8s.io/v1/namespaces/ours/leases';
const listed = `${all}?labelSelector=app.kubernetes.io%2Fmanaged-by%3Dimage-cloner`;
/** The name holds the first 32 characters of the target's sha256. */
const one = `${all}/image-cloner-a4b00e88a3238fbfa2f3a17b5f72aead`;
const lease: CopyLease = {
  holder: 'pod-a_1',
  target: 'backup.test/acme/nginx:1.27',
  sourceDigest: 'sha256:a',
  reading: { elapsedMs: 1, idleMs: 0 },
};

function stored(change: { readonly annotations?: Readonly<Record<string, string>> }): unknown {
  return {
    metadata: {
      name: 'image-cloner-x',
      uid: 'u',
      resourceVersion: '7',
      annotations: {
        'image-cloner/target': lease.target,
        'image-cloner/source-digest': 'sha256:a',
        'image-cloner/progress':
          '{"elapsedMs":1500,"idleMs":0,"phase":"copy","doneBytes":4,"totalBytes":10}',
        ...change.annotations,
      },
    },
    spec: { holderIdentity: 'pod-b_1' },
  };
}

/** Responses that a real API server does not give on demand; `describeLeaseStore` covers the contract. */
describe('createLeaseStore', () => {
  let fake: FakeApi;
  let log: MemoryLog;
  let store: LeaseStore;
  beforeEach(async () => {
    fake = await startFakeApi();
    log = createMemoryLog();
    store = createLeaseStore({ api: fake.coordination, namespace: 'ours', logger: log.logger });
  });
  afterEach(async () => {
    await fake.close();
  });

  it('lists a Lease that another replica wrote', async () => {
    fake.answers.set(listed, { body: { items: [stored({})] } });

    assert.deepEqual(await store.list(signal), {
      status: 'done',
      found: [
        {
          holder: 'pod-b_1',
          target: 'backup.test/acme/nginx:1.27',
          sourceDigest: 'sha256:a',
          reading: {
            elapsedMs: 1_500,
            idleMs: 0,
            now: { phase: 'copy', doneBytes: 4, totalBytes: 10 },
          },
          version: 'u/7',
        },
      ],
    });
  });

  const unreadable: readonly (readonly [what: string, lease: unknown])[] = [
    ['has no annotations', { metadata: { uid: 'u', resourceVersion: '7' }, spec: {} }],
    ['has no holder', { ...Object(stored({})), spec: {} }],
    ['has progress that is not JSON', stored({ annotations: { 'image-cloner/progress': '{' } })],
    [
      'has negative progress',
      stored({ annotations: { 'image-cloner/progress': '{"elapsedMs":-1,"idleMs":0}' } }),
    ],
    [
      'has an unknown phase',
      stored({
        annotations: { 'image-cloner/progress': '{"elapsedMs":1,"idleMs":0,"phase":"\\u001b[2J"}' },
      }),
    ],
    [
      'has progress of more than 1000 characters',
      stored({
        annotations: { 'image-cloner/progress': `{"elapsedMs":1,"idleMs":0${' '.repeat(2_000)}}` },
      }),
    ],
  ];
  for (const [what, lease] of unreadable) {
    it(`omits a Lease that ${what}`, async () => {
      fake.answers.set(listed, { body: { items: [lease, stored({})] } });

      const answer = await store.list(signal);

      assert.equal(answer.status === 'done' ? answer.found.length : answer.status, 1);
    });
  }

  const answers: readonly (readonly [what: string, FakeAnswer, status: string])[] = [
    ['an HTTP 403', { status: 403, body: { kind: 'Status' } }, 'forbidden'],
    ['an HTTP 401', { status: 401, body: {} }, 'unavailable'],
    ['an HTTP 404 of a deleted namespace', { status: 404, body: {} }, 'unavailable'],
    ['an HTTP 429', { status: 429, body: {} }, 'unavailable'],
    ['an HTTP 500', { status: 500, body: 'boom s3cret' }, 'unavailable'],
    ['a body that is not JSON', { body: '<html>s3cret' }, 'unavailable'],
    ['a response that stops in its body', { hang: 'amid body' }, 'unavailable'],
  ];
  for (const [what, answer, status] of answers) {
    it(`answers ${status} to a Lease request after ${what}, and does not log the body`, async () => {
      const impatient = createLeaseStore({
        api: fake.coordination,
        namespace: 'ours',
        logger: log.logger,
        timeoutMs: 200,
      });
      fake.answers.set(listed, answer);
      fake.answers.set(all, answer);

      assert.deepEqual(await impatient.list(signal), { status });
      assert.deepEqual(await impatient.create(lease, signal), { status });
      assert.ok(!JSON.stringify(log.lines).includes('s3cret'));
    });
  }

  it('answers unavailable to Lease requests when the API server is down', async () => {
    await fake.close();

    assert.deepEqual(await store.list(signal), { status: 'unavailable' });
    assert.deepEqual(
      log.lines.map(({ fields }) => fields),
      [{ verb: 'list', problem: 'ECONNREFUSED' }],
    );
    fake = await startFakeApi();
  });

  it('answers conflict to the replacement of a deleted Lease, and done to its removal', async () => {
    assert.deepEqual(await store.replace(lease, 'u/7', signal), { status: 'conflict' });
    assert.deepEqual(await store.remove({ target: lease.target, version: 'u/7' }, signal), {
      status: 'done',
      found: undefined,
    });
    assert.deepEqual(fake.requests, [`PUT ${one}`, `DELETE ${one}`]);
  });

  it('reuses connections for Lease requests', async () => {
    for (let count = 0; count < 10; count += 1) await store.list(signal);

    assert.ok(fake.connections() <= 2, `${fake.connections()} connections for 10 requests`);
  });
});
