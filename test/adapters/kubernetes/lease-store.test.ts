import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { createLeaseStore } from '../../../lib/adapters/kubernetes/lease-store.ts';
import type { CopyLease, LeaseStore } from '../../../lib/index.ts';
import { createMemoryLog, type MemoryLog } from '../../support/memory-log.ts';
import { type FakeAnswer, type FakeApi, startFakeApi } from './fake-api.ts';

const { signal } = new AbortController();
const all = '/apis/coordination.k8s.io/v1/namespaces/ours/leases';
const listed = `${all}?labelSelector=app.kubernetes.io%2Fmanaged-by%3Dimage-cloner`;
/** sha256 of the target, its first 32 characters. */
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

/** What its promises are is in the contract; this is what an API server may answer that a test cannot have a real one say. */
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

  it('reads what others wrote', async () => {
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
    ['tells no JSON', stored({ annotations: { 'image-cloner/progress': '{' } })],
    [
      'tells less than nothing',
      stored({ annotations: { 'image-cloner/progress': '{"elapsedMs":-1,"idleMs":0}' } }),
    ],
    [
      'tells a phase that there is not',
      stored({
        annotations: { 'image-cloner/progress': '{"elapsedMs":1,"idleMs":0,"phase":"\\u001b[2J"}' },
      }),
    ],
    [
      'tells far too much',
      stored({
        annotations: { 'image-cloner/progress': `{"elapsedMs":1,"idleMs":0${' '.repeat(2_000)}}` },
      }),
    ],
  ];
  for (const [what, lease] of unreadable) {
    it(`leaves out a Lease that ${what}`, async () => {
      fake.answers.set(listed, { body: { items: [lease, stored({})] } });

      const answer = await store.list(signal);

      assert.equal(answer.status === 'done' ? answer.found.length : answer.status, 1);
    });
  }

  const answers: readonly (readonly [what: string, FakeAnswer, status: string])[] = [
    ['what RBAC forbids', { status: 403, body: { kind: 'Status' } }, 'forbidden'],
    ['a token that is refused', { status: 401, body: {} }, 'unavailable'],
    ['a namespace that is gone', { status: 404, body: {} }, 'unavailable'],
    ['too many requests', { status: 429, body: {} }, 'unavailable'],
    ['a server that is ill', { status: 500, body: 'boom s3cret' }, 'unavailable'],
    ['an answer that is no JSON', { body: '<html>s3cret' }, 'unavailable'],
    ['an answer that breaks off', { hang: 'amid body' }, 'unavailable'],
  ];
  for (const [what, answer, status] of answers) {
    it(`answers ${what} with ${status}, and quotes nothing`, async () => {
      const patient = createLeaseStore({
        api: fake.coordination,
        namespace: 'ours',
        logger: log.logger,
        patienceMs: 200,
      });
      fake.answers.set(listed, answer);
      fake.answers.set(all, answer);

      assert.deepEqual(await patient.list(signal), { status });
      assert.deepEqual(await patient.create(lease, signal), { status });
      assert.ok(!JSON.stringify(log.lines).includes('s3cret'));
    });
  }

  it('answers a server that is gone with unavailable', async () => {
    await fake.close();

    assert.deepEqual(await store.list(signal), { status: 'unavailable' });
    assert.deepEqual(
      log.lines.map(({ fields }) => fields),
      [{ verb: 'list', problem: 'ECONNREFUSED' }],
    );
    fake = await startFakeApi();
  });

  it('takes a Lease that is gone for a conflict when it is replaced, and for done when it is removed', async () => {
    assert.deepEqual(await store.replace(lease, 'u/7', signal), { status: 'conflict' });
    assert.deepEqual(await store.remove({ target: lease.target, version: 'u/7' }, signal), {
      status: 'done',
      found: undefined,
    });
    assert.deepEqual(fake.requests, [`PUT ${one}`, `DELETE ${one}`]);
  });

  it('keeps its connection', async () => {
    for (let count = 0; count < 10; count += 1) await store.list(signal);

    assert.ok(fake.connections() <= 2, `${fake.connections()} connections for 10 requests`);
  });
});
