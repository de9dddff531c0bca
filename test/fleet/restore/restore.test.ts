import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ApplyResult } from '../../../lib/fleet/apply-to-each.ts';
import { createRestore, type RestoreDeps } from '../../../lib/fleet/restore/index.ts';
import type { StoredWorkload } from '../../../lib/ports/index.ts';
import { createFakeStore, type FakeStore, storedWorkload } from '../../support/fake-store.ts';

const recorded = { 'image-cloner/original-images': '{"containers/main":"nginx:1.27"}' };
const { signal } = new AbortController();
const annotationPath = '/metadata/annotations/image-cloner~1original-images';

interface Web {
  readonly containers?: Readonly<Record<string, string>>;
  readonly originals?: Readonly<Record<string, string>> | string;
  readonly metadata?: object;
  readonly pullSecrets?: readonly string[];
  readonly status?: object;
}

function web({
  containers = { main: 'acme/nginx:1.27' },
  originals = { 'containers/main': 'nginx:1.27' },
  metadata = {},
  pullSecrets,
  status = {},
}: Web = {}): StoredWorkload {
  const text = typeof originals === 'string' ? originals : JSON.stringify(originals);
  return storedWorkload('deployments', {
    metadata: {
      name: 'web',
      namespace: 'shop',
      labels: { app: 'web' },
      ...(text !== '' && { annotations: { 'image-cloner/original-images': text } }),
      ...metadata,
    },
    spec: {
      template: {
        spec: {
          containers: Object.entries(containers).map(([name, image]) => ({ name, image })),
          ...(pullSecrets !== undefined && {
            imagePullSecrets: pullSecrets.map((name) => ({ name })),
          }),
        },
      },
    },
    status,
  });
}

function open(
  store: FakeStore,
  deps: Partial<RestoreDeps> = {},
): {
  readonly apply: (given: StoredWorkload) => Promise<ApplyResult>;
  readonly report: (given: StoredWorkload) => unknown;
} {
  const restore = createRestore({
    store,
    fieldManager: 'image-cloner-restore',
    rateLimiter: { wait: () => Promise.resolve() },
    onProgress: () => undefined,
    ...deps,
  });
  return {
    report: (given) =>
      restore.report([given]).rows.map(({ container, image, what }) => [container, image, what]),
    apply: (given) => {
      store.put(given);
      return restore.apply(given, signal);
    },
  };
}

const keeping = (): FakeStore => createFakeStore((object) => object);
const disabled = { 'image-cloner': 'disabled' };
const restoredPath = '/metadata/annotations/image-cloner~1restored';
const optOut = { op: 'add', path: '/metadata/labels/image-cloner', value: 'disabled' };
/** Of the object and its pods, with the record for `restore --undo`. */
const optOuts = [
  optOut,
  { op: 'add', path: '/spec/template/metadata', value: { labels: disabled } },
  { op: 'add', path: restoredPath, value: '["","/spec/template"]' },
];
const image = (index: number): string => `/spec/template/spec/containers/${index}/image`;

describe('createRestore apply', () => {
  it('restore puts the original image back and opts the object out in one guarded write', async () => {
    const store = keeping();

    const end = await open(store).apply(web());

    assert.deepEqual(end, { state: 'done', action: 'restored', notes: [] });
    assert.deepEqual(store.patches, [
      {
        type: 'json',
        body: [
          { op: 'test', path: image(0), value: 'acme/nginx:1.27' },
          { op: 'replace', path: image(0), value: 'nginx:1.27' },
          { op: 'remove', path: annotationPath },
          ...optOuts,
        ],
      },
    ]);
  });

  it('restore uses no annotation entry of another image than the object names, keeps the record and fails', async () => {
    const store = keeping();

    const end = await open(store).apply(
      web({
        containers: { main: 'acme/nginx:1.27', forged: 'acme/redis:7', moved: 'acme/mysql:8' },
        originals: {
          'containers/main': 'nginx:1.27',
          'containers/forged': 'evil.example/redis:7',
          'containers/moved': 'mysql:9',
        },
      }),
    );

    assert.deepEqual(end, {
      state: 'failed',
      problem:
        'restored, but container "forged": acme/redis:7 stays: it is not named as a copy of evil.example/redis:7, which is recorded; container "moved": acme/mysql:8 stays: it is not named as a copy of mysql:9, which is recorded',
      stopsRun: false,
    });
    assert.deepEqual(
      store.patches.map(({ body }) => body),
      [
        [
          { op: 'test', path: image(0), value: 'acme/nginx:1.27' },
          { op: 'replace', path: image(0), value: 'nginx:1.27' },
          ...optOuts,
        ],
      ],
    );
  });

  it('restore fails if the annotation records no original image of any backup in the object', async () => {
    const store = keeping();

    assert.deepEqual(await open(store).apply(web({ originals: 'nonsense' })), {
      state: 'failed',
      problem: 'container "main": acme/nginx:1.27 stays: its original image is not recorded',
      stopsRun: false,
    });
    assert.deepEqual(store.patches, []);
  });

  const untouched = [
    { name: 'an object that names no backup', given: web({ containers: { main: 'nginx:1.27' } }) },
    { name: 'an object that names a backup and has no annotation', given: web({ originals: '' }) },
    {
      name: 'an object that a controller manages',
      given: web({
        metadata: {
          annotations: { 'image-cloner/original-images': '{"containers/main":"nginx:1.27"}' },
          ownerReferences: [{ apiVersion: 'apps/v1', kind: 'Rollout', controller: true }],
        },
      }),
    },
    {
      name: 'a Job, whose template is immutable',
      given: {
        ...web(),
        kind: storedWorkload('jobs', { metadata: { name: 'web', namespace: 'shop' } }).kind,
      },
    },
  ];
  for (const { name, given } of untouched) {
    it(`restore does not write ${name}`, async () => {
      const store = keeping();

      assert.deepEqual(await open(store).apply(given), { state: 'untouched' });
      assert.deepEqual(store.patches, []);
    });
  }

  const secrets = [
    {
      name: 'restore removes the pull secret that the webhook appended and no other',
      pullSecrets: ['own', 'backup', 'backup-2'],
      expected: [
        { op: 'test', path: '/spec/template/spec/imagePullSecrets/1/name', value: 'backup' },
        { op: 'remove', path: '/spec/template/spec/imagePullSecrets/1' },
      ],
    },
    {
      name: 'restore removes imagePullSecrets with its last entry, so that those of the ServiceAccount apply',
      pullSecrets: ['backup'],
      expected: [
        { op: 'test', path: '/spec/template/spec/imagePullSecrets/0/name', value: 'backup' },
        { op: 'remove', path: '/spec/template/spec/imagePullSecrets' },
      ],
    },
    {
      name: 'restore keeps a pull secret whose name only starts with BACKUP_PULL_SECRET',
      pullSecrets: ['backup-2'],
      expected: [],
    },
  ];
  for (const { name, pullSecrets, expected } of secrets) {
    it(name, async () => {
      const store = keeping();

      await open(store, { backupPullSecret: 'backup' }).apply(web({ pullSecrets }));

      const [{ body } = { body: [] }] = store.patches;
      assert.deepEqual(Array.isArray(body) ? body.slice(2, -4) : body, expected);
    });
  }

  it('restore keeps the pull secret if a backup stays in the object', async () => {
    const store = keeping();
    const given = web({
      containers: { main: 'acme/nginx:1.27', other: 'acme/redis:7' },
      pullSecrets: ['backup'],
    });

    await open(store, { backupPullSecret: 'backup' }).apply(given);

    const text = JSON.stringify(store.patches);
    assert.ok(text.includes('nginx:1.27'));
    assert.ok(!text.includes('imagePullSecrets'));
  });

  it('restore removes the annotation of a backfill and adds labels to an object without any', async () => {
    const store = keeping();
    const given = web({
      metadata: {
        labels: undefined,
        annotations: {
          'image-cloner/original-images': '{"containers/main":"nginx:1.27"}',
          'image-cloner/backfill': '2026-11-25T03:00:00.000Z',
        },
      },
    });

    await open(store).apply(given);

    const [{ body } = { body: [] }] = store.patches;
    assert.deepEqual(Array.isArray(body) ? body.slice(2) : body, [
      { op: 'remove', path: annotationPath },
      { op: 'remove', path: '/metadata/annotations/image-cloner~1backfill' },
      { op: 'add', path: '/metadata/labels', value: disabled },
      ...optOuts.slice(1),
    ]);
  });

  it('restore opts out the Jobs of a CronJob, which the webhook reviews', async () => {
    const cronJob = (jobTemplate: object): StoredWorkload =>
      storedWorkload('cronjobs', {
        metadata: {
          name: 'nightly',
          namespace: 'shop',
          labels: {},
          annotations: { 'image-cloner/original-images': '{"containers/main":"nginx:1.27"}' },
        },
        spec: {
          jobTemplate: {
            ...jobTemplate,
            spec: {
              template: { spec: { containers: [{ name: 'main', image: 'acme/nginx:1.27' }] } },
            },
          },
        },
      });
    const path = '/spec/jobTemplate/metadata';
    const templates = [
      [{}, { op: 'add', path, value: { labels: disabled } }],
      [
        { metadata: { creationTimestamp: null } },
        { op: 'add', path: `${path}/labels`, value: disabled },
      ],
      [
        { metadata: { labels: { app: 'nightly' } } },
        { op: 'add', path: `${path}/labels/image-cloner`, value: 'disabled' },
      ],
    ] as const;
    for (const [jobTemplate, operation] of templates) {
      const store = keeping();

      await open(store).apply(cronJob(jobTemplate));

      const [patch] = store.patches;
      assert.ok(patch?.type === 'json');
      assert.deepEqual(patch.body.slice(-4), [
        optOut,
        operation,
        {
          op: 'add',
          path: '/spec/jobTemplate/spec/template/metadata',
          value: { labels: disabled },
        },
        {
          op: 'add',
          path: restoredPath,
          value: '["","/spec/jobTemplate","/spec/jobTemplate/spec/template"]',
        },
      ]);
    }
  });

  it('restore needs no setting: it recognises a copy by its name on any host, in both namings', async () => {
    const copies = [
      'acme/ghcr.io__x__y:2',
      'old.example:5000/team/ghcr.io/x/y:2',
      'ecr.example/a/b/ghcr.io__x__y:2.bbbbbbbbbbbb',
    ];
    for (const copy of copies) {
      const store = keeping();

      const end = await open(store).apply(
        web({ containers: { main: copy }, originals: { 'containers/main': 'ghcr.io/x/y:2' } }),
      );

      assert.deepEqual(end, { state: 'done', action: 'restored', notes: [] });
      assert.deepEqual(store.patches[0]?.body, [
        { op: 'test', path: image(0), value: copy },
        { op: 'replace', path: image(0), value: 'ghcr.io/x/y:2' },
        { op: 'remove', path: annotationPath },
        ...optOuts,
      ]);
    }
  });

  it('restore records no label that the owner of the object had set', async () => {
    const store = keeping();

    await open(store).apply(web({ metadata: { labels: disabled, annotations: recorded } }));

    assert.deepEqual(store.patches[0]?.body, [
      { op: 'test', path: image(0), value: 'acme/nginx:1.27' },
      { op: 'replace', path: image(0), value: 'nginx:1.27' },
      { op: 'remove', path: annotationPath },
      { op: 'add', path: '/spec/template/metadata', value: { labels: disabled } },
      { op: 'add', path: restoredPath, value: '["/spec/template"]' },
    ]);
  });

  it('restore plans again if another client changes the object in between, and gives up after three times', async () => {
    const store = createFakeStore(() => ({ status: 'refused', message: 'testing value failed' }));
    const read = store.read;
    let reads = 0;
    const moving: FakeStore = {
      ...store,
      read: async (stored, given) => {
        reads += 1;
        const current = await read(stored, given);
        return (
          current &&
          web({
            containers: { main: `acme/nginx:1.2${reads}` },
            originals: { 'containers/main': `nginx:1.2${reads}` },
          })
        );
      },
    };

    assert.deepEqual(await open(moving).apply(web()), {
      state: 'failed',
      problem: 'other clients changed it 3 times while it was written: run again',
      stopsRun: false,
    });
  });

  it('restore says what to do if a webhook that is down refuses the write, and does not write it again', async () => {
    const message = 'Internal error occurred: failed calling webhook "x": connection refused';
    const store = createFakeStore(() => ({ status: 'refused', message }));

    assert.deepEqual(await open(store).apply(web()), {
      state: 'failed',
      problem: `${message}; if that webhook is image-cloner's: image-cloner status names the command that lets writes pass`,
      stopsRun: false,
    });
    assert.equal(store.patches.length, 1);
  });

  it('restore leaves the objects of a workload to the workload, which is restored itself', async () => {
    const store = keeping();
    const replicaSet = {
      ...web({
        metadata: {
          annotations: recorded,
          ownerReferences: [{ apiVersion: 'apps/v1', kind: 'Deployment', controller: true }],
        },
      }),
    };

    assert.deepEqual(await open(store).apply(replicaSet), { state: 'untouched' });
    assert.deepEqual(open(store).report(replicaSet), []);
  });

  it('restore releases the fields that it owns after the write', async () => {
    const managedFields = [
      { manager: 'flux', operation: 'Apply' },
      { manager: 'image-cloner-restore', operation: 'Update' },
    ];
    const store = keeping();

    await open(store).apply(
      web({
        metadata: {
          managedFields,
          annotations: { 'image-cloner/original-images': '{"containers/main":"nginx:1.27"}' },
        },
      }),
    );

    assert.deepEqual(store.patches[1], {
      type: 'json',
      body: [
        { op: 'test', path: '/metadata/managedFields/1/manager', value: 'image-cloner-restore' },
        { op: 'remove', path: '/metadata/managedFields/1' },
      ],
    });
  });

  it('restore releases the fields that an interrupted run still owns', async () => {
    const store = keeping();

    const end = await open(store).apply(
      web({
        containers: { main: 'nginx:1.27' },
        originals: '',
        metadata: {
          labels: { 'image-cloner': 'disabled' },
          managedFields: [{ manager: 'image-cloner-restore', operation: 'Update' }],
        },
      }),
    );

    assert.deepEqual(end, { state: 'untouched' });
    assert.deepEqual(store.patches, [
      {
        type: 'json',
        body: [
          { op: 'test', path: '/metadata/managedFields/0/manager', value: 'image-cloner-restore' },
          { op: 'remove', path: '/metadata/managedFields/0' },
        ],
      },
    ]);
  });

  it('stops the restore if the rollout of a restored object does not complete', async () => {
    const healthy = web({
      metadata: { generation: 1, annotations: recorded },
      status: { observedGeneration: 1, replicas: 1, updatedReplicas: 1, availableReplicas: 1 },
    });

    const end = await open(keeping(), {
      awaitRollout: () =>
        Promise.resolve({ state: 'running', detail: '0 of 1 pods are available' }),
    }).apply(healthy);

    assert.deepEqual(end, {
      state: 'failed',
      problem: 'restored, but the rollout did not complete: 0 of 1 pods are available',
      stopsRun: true,
    });
  });
});

describe('createRestore report', () => {
  it('a restore report shows for each image from the backup what it would become', () => {
    const { report } = open(keeping());

    assert.deepEqual(
      report(
        web({
          containers: { main: 'acme/nginx:1.27', other: 'acme/redis:7', own: 'quay.io/x:1' },
        }),
      ),
      [
        ['main', 'acme/nginx:1.27', 'would become nginx:1.27'],
        ['other', 'acme/redis:7', 'stays: its original image is not recorded'],
      ],
    );
  });
});
