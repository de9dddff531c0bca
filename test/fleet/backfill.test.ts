import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ReviewPolicy } from '../../lib/admission/policy.ts';
import { CloneError } from '../../lib/errors.ts';
import type { ApplyResult } from '../../lib/fleet/apply-to-each.ts';
import type { RolloutResult } from '../../lib/fleet/await-rollout.ts';
import { createBackfill } from '../../lib/fleet/backfill.ts';
import { replaceAt } from '../../lib/fleet/stored-workload.ts';
import { formatReference } from '../../lib/image/reference.ts';
import type { CloneOutcome, StoredWorkload } from '../../lib/ports/index.ts';
import { createFakeStore, type FakeStore, storedWorkload } from '../support/fake-store.ts';
import { firstImage, policy } from '../support/reviews.ts';

const { signal } = new AbortController();

function web(image: string, annotations: Readonly<Record<string, string>> = {}): StoredWorkload {
  return storedWorkload('deployments', {
    metadata: { name: 'web', namespace: 'shop', generation: 1, annotations },
    spec: { replicas: 0, template: { spec: { containers: [{ name: 'main', image }] } } },
    status: { observedGeneration: 1 },
  });
}

interface Setting {
  readonly store: FakeStore;
  /** `down`: the backup cannot be reached; `away`: the source. */
  readonly outcomes?: Readonly<
    Record<string, CloneOutcome['status'] | 'planned' | 'fallback' | 'down' | 'away'>
  >;
  readonly refresh?: boolean;
  readonly change?: Partial<ReviewPolicy>;
  readonly rollout?: RolloutResult;
  /** The digest that outcomes pin their backups to. */
  readonly digest?: string;
}

function open({ store, outcomes = {}, refresh = false, change = {}, rollout, digest }: Setting): {
  readonly apply: (stored: StoredWorkload) => Promise<ApplyResult>;
  readonly report: (
    ...stored: readonly StoredWorkload[]
  ) => Promise<readonly (readonly string[])[]>;
  /** Sentences of the report beside its rows. */
  readonly problems: (...stored: readonly StoredWorkload[]) => Promise<readonly string[]>;
  /** Images that were ensured, those of a dry run marked. */
  readonly ensured: readonly string[];
} {
  const ensured: string[] = [];
  const backfill = createBackfill({
    store,
    policy: policy(change),
    ensure: ({ source, backup, dryRun }) => {
      const name = formatReference(source);
      ensured.push(dryRun ? `${name} (dry)` : name);
      const what = outcomes[name] ?? 'ready';
      if (what === 'failed') {
        const error = new CloneError('SOURCE_NOT_FOUND', `${name} does not exist`);
        return Promise.resolve({ status: 'failed', error });
      }
      if (what === 'down' || what === 'away') {
        const [code, message] =
          what === 'down'
            ? (['BACKUP_UNAVAILABLE', 'docker.io'] as const)
            : (['SOURCE_UNAVAILABLE', `${name}: ${source.domain}`] as const);
        const options = { isUnreachable: true };
        const error = new CloneError(code, `${message} cannot be reached`, options);
        return Promise.resolve({ status: 'failed', error });
      }
      const result = what === 'planned' || what === 'fallback' ? what : 'present';
      const warnings = what === 'fallback' ? [`using the backup of ${name}`] : [];
      return Promise.resolve({
        status: 'ready',
        image: { ...backup, ...(digest !== undefined && { digest }) },
        result,
        bytes: 0,
        durationMs: 0,
        warnings,
      });
    },
    rateLimiter: { wait: () => Promise.resolve() },
    ...(rollout !== undefined && { awaitRollout: () => Promise.resolve(rollout) }),
    newAnnotationValue: () => '2026-11-25T03:00:00.000Z',
    refresh,
    onProgress: () => undefined,
  });
  return {
    apply: (given) => {
      store.put(given);
      return backfill.apply(given, signal);
    },
    report: async (...given) =>
      (await backfill.report(given, { signal, onStep: () => undefined })).rows.map(
        ({ container, image, what }) => [container, image, what],
      ),
    problems: async (...given) =>
      (await backfill.report(given, { signal, onStep: () => undefined })).problems,
    ensured,
  };
}

/** A store behind a webhook that rewrites the image. */
const rewriting = (image = 'acme/nginx:1.27'): FakeStore =>
  createFakeStore((object) => replaceAt(object, firstImage, image));
/** A store of an API server that does not call the webhook. */
const notRewriting = (): FakeStore => createFakeStore((object) => object);

describe('createBackfill apply', () => {
  it('backfill copies the image, then writes its annotation and no other field', async () => {
    const store = rewriting();
    const { apply, ensured } = open({ store });

    const end = await apply(web('nginx:1.27'));

    assert.deepEqual(end, { state: 'done', action: 'rewritten', notes: [] });
    assert.deepEqual(ensured, ['nginx:1.27']);
    assert.deepEqual(store.patches, [
      {
        type: 'merge',
        body: {
          metadata: { annotations: { 'image-cloner/backfill': '2026-11-25T03:00:00.000Z' } },
        },
      },
    ]);
  });

  it('does not annotate an object whose image cannot be copied, and reports why', async () => {
    const store = rewriting();
    const { apply } = open({ store, outcomes: { 'nginx:9.99': 'failed' } });

    const end = await apply(web('nginx:9.99'));

    assert.deepEqual(end, {
      state: 'failed',
      problem: 'container "main": nginx:9.99 does not exist',
      stopsRun: false,
    });
    assert.deepEqual(store.patches, []);
  });

  it('does not write a rewritten object, and sends no request to a registry for it', async () => {
    const store = rewriting();
    const { apply, ensured } = open({ store });

    assert.deepEqual(await apply(web('acme/nginx:1.27')), { state: 'untouched' });
    assert.deepEqual([ensured, store.patches], [[], []]);
  });

  it('does not write an object that was deleted after it was listed', async () => {
    const store = rewriting();
    const backfill = open({ store });
    const gone = createFakeStore(() => ({ status: 'gone' }));
    const { apply } = open({ store: gone });

    assert.deepEqual(await apply(web('nginx:1.27')), {
      state: 'done',
      action: 'deleted meanwhile',
      notes: [],
    });
    assert.deepEqual(backfill.ensured, []);
  });

  it('annotates one object per kind and namespace if the API server does not call the webhook', async () => {
    const store = notRewriting();
    const { apply } = open({ store });
    const problem =
      'the API server does not call the webhook for deployments in shop: check that it is registered and that WORKLOADS has deployments';

    assert.deepEqual(await apply(web('nginx:1.27')), { state: 'failed', problem, stopsRun: false });
    assert.deepEqual(await apply(web('nginx:1.28')), { state: 'failed', problem, stopsRun: false });
    assert.equal(store.patches.length, 1);
  });

  it('reports the warnings of a webhook that was called and did not rewrite the object', async () => {
    const given = web('nginx:1.27');
    const store = createFakeStore(() => ({
      status: 'written',
      stored: given,
      warnings: ['not backed up, container "main": no room'],
    }));

    assert.deepEqual(await open({ store }).apply(given), {
      state: 'failed',
      problem: 'not rewritten: not backed up, container "main": no room',
      stopsRun: false,
    });
  });

  it('reports the message of an API server that refuses the annotation', async () => {
    const store = createFakeStore(() => ({ status: 'refused', message: 'quota exceeded' }));

    assert.deepEqual(await open({ store }).apply(web('nginx:1.27')), {
      state: 'failed',
      problem: 'quota exceeded',
      stopsRun: false,
    });
  });

  it('notes that the backup is used because its source is unavailable', async () => {
    const { apply } = open({ store: rewriting(), outcomes: { 'nginx:1.27': 'fallback' } });

    assert.deepEqual(await apply(web('nginx:1.27')), {
      state: 'done',
      action: 'rewritten',
      notes: ['using the backup of nginx:1.27'],
    });
  });

  it('stops the backfill if the rollout of a rewritten object does not complete', async () => {
    const rollout = { state: 'running', detail: '1 of 2 pods are available' } as const;
    const { apply } = open({ store: rewriting(), rollout });

    assert.deepEqual(await apply(web('nginx:1.27')), {
      state: 'failed',
      problem: 'rewritten, but the rollout did not complete: 1 of 2 pods are available',
      stopsRun: true,
    });
  });

  it('does not wait for a rollout that was incomplete before the backfill', async () => {
    const rollout = { state: 'stuck', detail: 'never read' } as const;
    const { apply } = open({ store: rewriting(), rollout });
    const incomplete = storedWorkload('deployments', {
      metadata: { name: 'web', namespace: 'shop', generation: 1 },
      spec: {
        replicas: 2,
        template: { spec: { containers: [{ name: 'main', image: 'nginx:1.27' }] } },
      },
      status: { observedGeneration: 1, updatedReplicas: 1 },
    });

    assert.deepEqual(await apply(incomplete), {
      state: 'done',
      action: 'rewritten',
      notes: [
        'does not wait for the rollout, which was incomplete before: 1 of 2 pods are updated',
      ],
    });
  });
});

describe('createBackfill with refresh', () => {
  const annotations = {
    'image-cloner/original-images': '{"containers/main":"nginx:1.27"}',
  };

  it('copies the original of a rewritten object again and does not write the object', async () => {
    const store = notRewriting();
    const { apply, ensured } = open({ store, refresh: true });

    const end = await apply(web('acme/nginx:1.27', annotations));

    assert.deepEqual(end, { state: 'done', action: 'refreshed', notes: [] });
    assert.deepEqual(ensured, ['nginx:1.27']);
    assert.deepEqual(store.patches, []);
  });

  it('notes an image that stays pinned although its tag has moved', async () => {
    const [old, moved] = [`sha256:${'a'.repeat(64)}`, `sha256:${'b'.repeat(64)}`];
    const { apply } = open({ store: notRewriting(), refresh: true, digest: moved });

    assert.deepEqual(await apply(web(`acme/nginx:1.27@${old}`, annotations)), {
      state: 'done',
      action: 'refreshed',
      notes: [
        `container "main": stays pinned to acme/nginx:1.27@${old}; the tag is acme/nginx:1.27@${moved} now`,
      ],
    });
    assert.deepEqual(await apply(web(`acme/nginx:1.27@${moved}`, annotations)), {
      state: 'done',
      action: 'refreshed',
      notes: [],
    });
  });

  it('copies no original image of an annotation entry that belongs to another backup', async () => {
    const { apply, ensured } = open({ store: notRewriting(), refresh: true });
    const forged = { 'image-cloner/original-images': '{"containers/main":"evil.example/x:1"}' };

    assert.deepEqual(await apply(web('acme/nginx:1.27', forged)), { state: 'untouched' });
    assert.deepEqual(ensured, []);
  });

  it('copies no original image from a registry that SOURCE_REGISTRIES does not list', async () => {
    const { apply, ensured } = open({
      store: notRewriting(),
      refresh: true,
      change: { sourceRegistries: ['quay.io'] },
    });

    const end = await apply(web('acme/nginx:1.27', annotations));

    assert.equal(end.state, 'failed');
    assert.deepEqual(ensured, []);
  });
});

describe('createBackfill report', () => {
  it('a backfill report shows for each image what would happen, and writes nothing', async () => {
    const store = rewriting();
    const { report, ensured } = open({
      store,
      outcomes: { 'redis:7': 'planned', 'mysql:8': 'fallback', 'nginx:9.99': 'failed' },
    });
    const spec = {
      initContainers: [{ name: 'setup', image: 'nginx:1.27' }],
      containers: [
        { name: 'a', image: 'redis:7' },
        { name: 'b', image: 'mysql:8' },
        { name: 'c', image: 'nginx:9.99' },
        { name: 'd', image: 'acme/nginx:1.27' },
      ],
    };
    const given = storedWorkload('deployments', {
      metadata: { name: 'web', namespace: 'shop' },
      spec: { template: { spec } },
    });

    assert.deepEqual(await report(given), [
      ['a', 'redis:7', 'would be copied'],
      ['b', 'mysql:8', 'in the backup; using the backup of mysql:8'],
      ['c', 'nginx:9.99', 'refused: nginx:9.99 does not exist'],
      ['d', 'acme/nginx:1.27', 'already rewritten'],
      ['init container "setup"', 'nginx:1.27', 'in the backup'],
    ]);
    assert.ok(ensured.every((name) => name.endsWith(' (dry)')));
    assert.deepEqual(store.patches, []);
  });

  it('a backfill report checks an image once, however many objects name it', async () => {
    const { report, ensured } = open({ store: notRewriting() });

    await report(web('nginx:1.27'), web('nginx:1.27'), web('docker.io/library/nginx:1.27'));

    assert.deepEqual(ensured, ['nginx:1.27 (dry)']);
  });

  it('a backfill report says in one sentence that the backup is down, and asks for nothing more', async () => {
    const images = ['a', 'b', 'c', 'd'].map((name) => web(`${name}:1`));
    const outcomes = Object.fromEntries(
      ['a:1', 'b:1', 'c:1', 'd:1'].map((name) => [name, 'down' as const]),
    );
    const { report } = open({ store: notRewriting(), outcomes });
    const { problems } = open({ store: notRewriting(), outcomes });

    assert.deepEqual(await problems(...images), [
      'docker.io cannot be reached',
      '4 of 4 images were not checked: run again',
    ]);
    assert.deepEqual(await report(web('a:1')), [['main', 'a:1', 'not checked']]);
  });

  it('a backfill report says in one sentence that a source is down, and checks the other images', async () => {
    const given = [web('quay.io/a:1'), web('quay.io/b:1'), web('nginx:1.27')];
    const outcomes = { 'quay.io/a:1': 'away', 'quay.io/b:1': 'away' } as const;
    const { problems } = open({ store: notRewriting(), outcomes });
    const { report } = open({ store: notRewriting(), outcomes });

    assert.deepEqual(await problems(...given), [
      'quay.io/a:1: quay.io cannot be reached',
      '2 of 3 images were not checked: run again',
    ]);
    assert.deepEqual(await report(...given), [
      ['main', 'quay.io/a:1', 'not checked'],
      ['main', 'quay.io/b:1', 'not checked'],
      ['main', 'nginx:1.27', 'in the backup'],
    ]);
  });

  it('a backfill report checks no image of an object that is skipped', async () => {
    const { report, ensured } = open({ store: notRewriting() });
    const job = storedWorkload('jobs', {
      metadata: { name: 'once', namespace: 'shop' },
      spec: { template: { spec: { containers: [{ name: 'main', image: 'nginx' }] } } },
    });

    assert.deepEqual(await report(job), [
      ['main', 'nginx', 'skipped: the template of a Job is immutable'],
    ]);
    assert.deepEqual(ensured, []);
  });

  it('a backfill report with refresh shows which tags have moved', async () => {
    const { report } = open({
      store: notRewriting(),
      refresh: true,
      outcomes: { 'nginx:1.27': 'planned' },
    });
    const annotations = { 'image-cloner/original-images': '{"containers/main":"nginx:1.27"}' };

    assert.deepEqual(await report(web('acme/nginx:1.27', annotations)), [
      ['main', 'acme/nginx:1.27', 'already rewritten; the tag has moved and would be copied'],
    ]);
  });
});
