import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ApplyResult } from '../../../lib/fleet/apply-to-each.ts';
import { createUndoRestore } from '../../../lib/fleet/restore/index.ts';
import type { StoredWorkload } from '../../../lib/ports/index.ts';
import { createFakeStore, type FakeStore, storedWorkload } from '../../support/fake-store.ts';

const { signal } = new AbortController();
const record = '["","/spec/template"]';
const restoredPath = '/metadata/annotations/image-cloner~1restored';
const podLabelPath = '/spec/template/metadata/labels/image-cloner';
const labelPath = '/metadata/labels/image-cloner';

/** As `restore` leaves it. */
function web({
  restored = record,
  annotations = {},
  podLabels = { 'image-cloner': 'disabled', app: 'web' },
}: {
  readonly restored?: string;
  readonly annotations?: object;
  readonly podLabels?: object;
} = {}): StoredWorkload {
  return storedWorkload('deployments', {
    metadata: {
      name: 'web',
      namespace: 'shop',
      labels: { app: 'web', 'image-cloner': 'disabled' },
      annotations: {
        ...(restored !== '' && { 'image-cloner/restored': restored }),
        ...annotations,
      },
    },
    spec: {
      template: {
        metadata: { labels: podLabels },
        spec: { containers: [{ name: 'main', image: 'nginx:1.27' }] },
      },
    },
  });
}

async function undo(store: FakeStore, given: StoredWorkload): Promise<ApplyResult> {
  store.put(given);
  const restore = createUndoRestore({
    store,
    rateLimiter: { wait: () => Promise.resolve() },
    onProgress: () => undefined,
    newAnnotationValue: () => '2026-12-01T03:00:00.000Z',
  });
  return await restore.apply(given, signal);
}

/** The API server calls the webhook. */
const rewriting = (): FakeStore =>
  createFakeStore(
    () =>
      web({ annotations: { 'image-cloner/original-images': '{"containers/main":"nginx:1.27"}' } })
        .object,
  );

describe('createUndoRestore', () => {
  it('restore --undo removes the recorded labels and has the webhook rewrite the object, in one write', async () => {
    const store = rewriting();

    assert.deepEqual(await undo(store, web()), { state: 'done', action: 'rewritten', notes: [] });
    assert.deepEqual(store.patches, [
      {
        type: 'json',
        body: [
          { op: 'test', path: labelPath, value: 'disabled' },
          { op: 'remove', path: labelPath },
          { op: 'test', path: podLabelPath, value: 'disabled' },
          { op: 'remove', path: podLabelPath },
          { op: 'test', path: restoredPath, value: record },
          { op: 'remove', path: restoredPath },
          {
            op: 'add',
            path: '/metadata/annotations/image-cloner~1backfill',
            value: '2026-12-01T03:00:00.000Z',
          },
        ],
      },
    ]);
  });

  it('restore --undo keeps an opt-out of the owner, and does not ask for a rewrite', async () => {
    const store = rewriting();

    assert.deepEqual(await undo(store, web({ restored: '["/spec/template"]' })), {
      state: 'done',
      action: 'label removed',
      notes: ['it stays opted out by a label that restore did not add'],
    });
    assert.deepEqual(store.patches[0]?.body, [
      { op: 'test', path: podLabelPath, value: 'disabled' },
      { op: 'remove', path: podLabelPath },
      { op: 'test', path: restoredPath, value: '["/spec/template"]' },
      { op: 'remove', path: restoredPath },
    ]);
  });

  it('restore --undo removes no label where the record, which any client can write, has another place', async () => {
    const store = rewriting();

    await undo(store, web({ restored: '["/spec/selector/matchLabels","/spec/template"]' }));

    assert.ok(!JSON.stringify(store.patches).includes('"remove","path":"/spec/selector'));
    assert.ok(JSON.stringify(store.patches).includes(`"remove","path":"${podLabelPath}`));
  });

  it('restore --undo does not write an object without the record', async () => {
    const store = rewriting();

    assert.deepEqual(await undo(store, web({ restored: '' })), { state: 'untouched' });
    assert.deepEqual(store.patches, []);
  });

  it('restore --undo fails if the API server does not call the webhook', async () => {
    const store = createFakeStore((object) => object);

    assert.deepEqual(await undo(store, web()), {
      state: 'failed',
      problem:
        'the API server does not call the webhook for deployments in shop: check that it is registered and that WORKLOADS has deployments',
      stopsRun: false,
    });
  });
});
