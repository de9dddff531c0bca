import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ReviewPolicy } from '../../lib/admission/policy.ts';
import { CloneError } from '../../lib/errors.ts';
import type { StepEnd } from '../../lib/fleet/apply-to-each.ts';
import type { RolloutEnd } from '../../lib/fleet/await-rollout.ts';
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
  readonly outcomes?: Readonly<Record<string, CloneOutcome['status'] | 'planned' | 'fallback'>>;
  readonly refresh?: boolean;
  readonly change?: Partial<ReviewPolicy>;
  readonly rollout?: RolloutEnd;
  /** What copies are pinned to. */
  readonly digest?: string;
}

function open({ store, outcomes = {}, refresh = false, change = {}, rollout, digest }: Setting): {
  readonly apply: (stored: StoredWorkload) => Promise<StepEnd>;
  readonly report: (stored: StoredWorkload) => Promise<readonly (readonly string[])[]>;
  /** Images that were asked for, those of a dry run marked. */
  readonly asked: readonly string[];
} {
  const asked: string[] = [];
  const backfill = createBackfill({
    store,
    policy: policy(change),
    ensure: ({ source, backup, dryRun }) => {
      const name = formatReference(source);
      asked.push(dryRun ? `${name} (dry)` : name);
      const what = outcomes[name] ?? 'ready';
      if (what === 'failed') {
        const error = new CloneError('SOURCE_NOT_FOUND', `${name} does not exist`);
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
    pace: () => Promise.resolve(),
    ...(rollout !== undefined && { awaitRollout: () => Promise.resolve(rollout) }),
    stamp: () => '2026-11-25T03:00:00.000Z',
    refresh,
    tell: () => undefined,
  });
  return {
    apply: (given) => {
      store.put(given);
      return backfill.apply(given, signal);
    },
    report: async (given) =>
      (await backfill.report(given, signal)).map(({ container, image, what }) => [
        container,
        image,
        what,
      ]),
    asked,
  };
}

/** As the webhook rewrites it. */
const rewriting = (image = 'acme/nginx:1.27'): FakeStore =>
  createFakeStore((object) => replaceAt(object, firstImage, image));
/** As an API server stores it that calls nobody. */
const deaf = (): FakeStore => createFakeStore((object) => object);

describe('createBackfill apply', () => {
  it('copies, then writes one annotation and nothing else', async () => {
    const store = rewriting();
    const { apply, asked } = open({ store });

    const end = await apply(web('nginx:1.27'));

    assert.deepEqual(end, { state: 'done', what: 'rewritten', notes: [] });
    assert.deepEqual(asked, ['nginx:1.27']);
    assert.deepEqual(store.patches, [
      {
        type: 'merge',
        body: {
          metadata: { annotations: { 'image-cloner/backfill': '2026-11-25T03:00:00.000Z' } },
        },
      },
    ]);
  });

  it('does not touch what has no copy, and says why', async () => {
    const store = rewriting();
    const { apply } = open({ store, outcomes: { 'nginx:9.99': 'failed' } });

    const end = await apply(web('nginx:9.99'));

    assert.deepEqual(end, {
      state: 'failed',
      problem: 'container "main": nginx:9.99 does not exist',
      endsRun: false,
    });
    assert.deepEqual(store.patches, []);
  });

  it('passes over what is rewritten already, without a question to any registry', async () => {
    const store = rewriting();
    const { apply, asked } = open({ store });

    assert.deepEqual(await apply(web('acme/nginx:1.27')), { state: 'untouched' });
    assert.deepEqual([asked, store.patches], [[], []]);
  });

  it('passes over what was deleted since it was listed', async () => {
    const store = rewriting();
    const backfill = open({ store });
    const gone = createFakeStore(() => ({ status: 'gone' }));
    const { apply } = open({ store: gone });

    assert.deepEqual(await apply(web('nginx:1.27')), { state: 'untouched' });
    assert.deepEqual(backfill.asked, []);
  });

  it('says once per kind and namespace that nobody calls the webhook, and annotates no more', async () => {
    const store = deaf();
    const { apply } = open({ store });
    const problem =
      'the API server does not call the webhook for deployments in shop: is it registered, and for these WORKLOADS?';

    assert.deepEqual(await apply(web('nginx:1.27')), { state: 'failed', problem, endsRun: false });
    assert.deepEqual(await apply(web('nginx:1.28')), { state: 'failed', problem, endsRun: false });
    assert.equal(store.patches.length, 1);
  });

  it('tells what the webhook said where it was called and did not rewrite', async () => {
    const given = web('nginx:1.27');
    const store = createFakeStore(() => ({
      status: 'written',
      stored: given,
      warnings: ['not backed up, container "main": no room'],
    }));

    assert.deepEqual(await open({ store }).apply(given), {
      state: 'failed',
      problem: 'not rewritten: not backed up, container "main": no room',
      endsRun: false,
    });
  });

  it('tells what the API server says when it refuses', async () => {
    const store = createFakeStore(() => ({ status: 'refused', message: 'quota exceeded' }));

    assert.deepEqual(await open({ store }).apply(web('nginx:1.27')), {
      state: 'failed',
      problem: 'quota exceeded',
      endsRun: false,
    });
  });

  it('tells that a backup stands in for its source', async () => {
    const { apply } = open({ store: rewriting(), outcomes: { 'nginx:1.27': 'fallback' } });

    assert.deepEqual(await apply(web('nginx:1.27')), {
      state: 'done',
      what: 'rewritten',
      notes: ['using the backup of nginx:1.27'],
    });
  });

  it('ends the run where what was rewritten does not come up', async () => {
    const rollout = { state: 'running', detail: '1 of 2 pods are available' } as const;
    const { apply } = open({ store: rewriting(), rollout });

    assert.deepEqual(await apply(web('nginx:1.27')), {
      state: 'failed',
      problem: 'rewritten, but its rollout did not end: 1 of 2 pods are available',
      endsRun: true,
    });
  });

  it('does not wait for what was not up before either', async () => {
    const rollout = { state: 'stuck', detail: 'never asked for' } as const;
    const { apply } = open({ store: rewriting(), rollout });
    const sick = storedWorkload('deployments', {
      metadata: { name: 'web', namespace: 'shop', generation: 1 },
      spec: {
        replicas: 2,
        template: { spec: { containers: [{ name: 'main', image: 'nginx:1.27' }] } },
      },
      status: { observedGeneration: 1, updatedReplicas: 1 },
    });

    assert.deepEqual(await apply(sick), {
      state: 'done',
      what: 'rewritten',
      notes: ['its rollout is not waited for: before, 1 of 2 pods are updated'],
    });
  });
});

describe('createBackfill with refresh', () => {
  const annotations = {
    'image-cloner/original-images': '{"containers/main":"nginx:1.27"}',
  };

  it('asks for what was copied before, and leaves the object as it is', async () => {
    const store = deaf();
    const { apply, asked } = open({ store, refresh: true });

    const end = await apply(web('acme/nginx:1.27', annotations));

    assert.deepEqual(end, { state: 'done', what: 'asked for anew', notes: [] });
    assert.deepEqual(asked, ['nginx:1.27']);
    assert.deepEqual(store.patches, []);
  });

  it('says what does not move with its tag, because it is pinned', async () => {
    const [old, moved] = [`sha256:${'a'.repeat(64)}`, `sha256:${'b'.repeat(64)}`];
    const { apply } = open({ store: deaf(), refresh: true, digest: moved });

    assert.deepEqual(await apply(web(`acme/nginx:1.27@${old}`, annotations)), {
      state: 'done',
      what: 'asked for anew',
      notes: [
        `container "main": stays pinned to what it has; the tag is acme/nginx:1.27@${moved} now`,
      ],
    });
    assert.deepEqual(await apply(web(`acme/nginx:1.27@${moved}`, annotations)), {
      state: 'done',
      what: 'asked for anew',
      notes: [],
    });
  });

  it('asks for nothing that the annotation only claims', async () => {
    const { apply, asked } = open({ store: deaf(), refresh: true });
    const forged = { 'image-cloner/original-images': '{"containers/main":"evil.example/x:1"}' };

    assert.deepEqual(await apply(web('acme/nginx:1.27', forged)), { state: 'untouched' });
    assert.deepEqual(asked, []);
  });

  it('asks for nothing from registries that are not allowed', async () => {
    const { apply, asked } = open({
      store: deaf(),
      refresh: true,
      change: { sourceRegistries: ['quay.io'] },
    });

    const end = await apply(web('acme/nginx:1.27', annotations));

    assert.equal(end.state, 'failed');
    assert.deepEqual(asked, []);
  });
});

describe('createBackfill report', () => {
  it('says of each image what would happen, and writes nothing', async () => {
    const store = rewriting();
    const { report, asked } = open({
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
      ['d', 'acme/nginx:1.27', 'rewritten already'],
      ['init container "setup"', 'nginx:1.27', 'in the backup'],
    ]);
    assert.ok(asked.every((name) => name.endsWith(' (dry)')));
    assert.deepEqual(store.patches, []);
  });

  it('asks for each image once, however many objects name it', async () => {
    const { report, asked } = open({ store: deaf() });

    await report(web('nginx:1.27'));
    await report(web('nginx:1.27'));

    assert.deepEqual(asked, ['nginx:1.27 (dry)']);
  });

  it('asks nobody about what is left alone anyway', async () => {
    const { report, asked } = open({ store: deaf() });
    const job = storedWorkload('jobs', {
      metadata: { name: 'once', namespace: 'shop' },
      spec: { template: { spec: { containers: [{ name: 'main', image: 'nginx' }] } } },
    });

    assert.deepEqual(await report(job), [
      ['main', 'nginx', "left: a Job's template cannot be changed"],
    ]);
    assert.deepEqual(asked, []);
  });

  it('shows with refresh which tags have moved', async () => {
    const { report } = open({
      store: deaf(),
      refresh: true,
      outcomes: { 'nginx:1.27': 'planned' },
    });
    const annotations = { 'image-cloner/original-images': '{"containers/main":"nginx:1.27"}' };

    assert.deepEqual(await report(web('acme/nginx:1.27', annotations)), [
      ['main', 'acme/nginx:1.27', 'rewritten already, its tag has moved: would be copied'],
    ]);
  });
});
