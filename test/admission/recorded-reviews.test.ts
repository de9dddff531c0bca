import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import {
  type CloneOutcome,
  completeReview,
  formatReference,
  planReview,
  type ReviewPlan,
  type ReviewPolicy,
} from '../../lib/index.ts';

// Requests of a real API server (npm run record-reviews), and the response when every copy succeeds.

interface Expectation {
  /** Image, backup, and the places that name it. */
  readonly planned: readonly (readonly [string, string, ...string[]])[];
  /** Places that keep the copy of the stored object. */
  readonly reused?: readonly string[];
  /** Absent: no patch at all. */
  readonly patch?: readonly object[];
  readonly warnings?: readonly string[];
}

const folder = join(import.meta.dirname, '../fixtures/reviews');

const policy: ReviewPolicy = {
  backup: { domain: 'registry.example.com', namespace: 'acme', naming: 'flat' },
  onError: 'deny',
  onDeadline: 'retry',
  ignoreImages: [],
  sourceRegistries: [],
  cloneOnlyOwners: ['*'],
  excludedNamespaces: [],
};

const hex = 'a25fbdaa3e4d03e0d735fd03f231e9a48332ecf40ca209b2f103b1f970d1cde0';
const exporter = `quay.io/prometheus/node-exporter@sha256:${hex}`;
const exporterBackup = `registry.example.com/acme/quay.io__prometheus__node-exporter:sha256.${hex}@sha256:${hex}`;

const webPlanned: Expectation['planned'] = [
  ['nginx:1.27', 'registry.example.com/acme/nginx:1.27', '/spec/template/spec/containers/0/image'],
  [exporter, exporterBackup, '/spec/template/spec/containers/1/image'],
  [
    'alpine:3.12',
    'registry.example.com/acme/alpine:3.12',
    '/spec/template/spec/initContainers/0/image',
  ],
];
const webSwaps = [
  ...swap(
    '/spec/template/spec/containers/0/image',
    'nginx:1.27',
    'registry.example.com/acme/nginx:1.27',
  ),
  ...swap('/spec/template/spec/containers/1/image', exporter, exporterBackup),
  ...swap(
    '/spec/template/spec/initContainers/0/image',
    'alpine:3.12',
    'registry.example.com/acme/alpine:3.12',
  ),
];
const webOriginals = `{"containers/metrics":"${exporter}","containers/web":"nginx:1.27","initContainers/migrate":"alpine:3.12"}`;

const expectations: Readonly<Record<string, Expectation>> = {
  'deployment-create': {
    planned: webPlanned,
    patch: [...webSwaps, ...record(webOriginals)],
  },
  'deployment-create-dry-run': {
    planned: webPlanned,
    patch: [...webSwaps, ...record(webOriginals)],
  },
  // Server-side apply writes no annotation, so the patch adds the map.
  'deployment-server-side-apply': {
    planned: webPlanned,
    patch: [
      ...webSwaps,
      {
        op: 'add',
        path: '/metadata/annotations',
        value: { 'image-cloner/original-images': webOriginals },
      },
    ],
  },
  // The annotation already has this value.
  'deployment-reapply': {
    planned: [],
    reused: [
      '/spec/template/spec/containers/0/image',
      '/spec/template/spec/containers/1/image',
      '/spec/template/spec/initContainers/0/image',
    ],
    patch: webSwaps,
  },
  'deployment-update-image': {
    planned: [
      [
        'nginx:1.28',
        'registry.example.com/acme/nginx:1.28',
        '/spec/template/spec/containers/0/image',
      ],
    ],
    patch: [
      ...swap(
        '/spec/template/spec/containers/0/image',
        'nginx:1.28',
        'registry.example.com/acme/nginx:1.28',
      ),
      ...record('{"containers/web":"nginx:1.28"}'),
    ],
    warnings: [
      'container "metrics" and 1 more: their images are unchanged and not in the backup; "just backfill" copies them',
    ],
  },
  'deployment-update-labels-only': {
    planned: [],
    warnings: [
      'container "web" and 2 more: their images are unchanged and not in the backup; "just backfill" copies them',
    ],
  },
  'deployment-scale': { planned: [] },
  'deployment-delete': { planned: [] },
  'daemonset-create': {
    planned: [[exporter, exporterBackup, '/spec/template/spec/containers/0/image']],
    patch: [
      ...swap('/spec/template/spec/containers/0/image', exporter, exporterBackup),
      ...record(`{"containers/agent":"${exporter}"}`),
    ],
  },
  'statefulset-create': {
    planned: [
      [
        'bitnami/postgresql:16',
        'registry.example.com/acme/bitnami__postgresql:16',
        '/spec/template/spec/containers/0/image',
      ],
    ],
    patch: [
      ...swap(
        '/spec/template/spec/containers/0/image',
        'bitnami/postgresql:16',
        'registry.example.com/acme/bitnami__postgresql:16',
      ),
      ...record('{"containers/db":"bitnami/postgresql:16"}'),
    ],
  },
  'replicaset-create': {
    planned: [
      ['redis:7', 'registry.example.com/acme/redis:7', '/spec/template/spec/containers/0/image'],
    ],
    patch: [
      ...swap(
        '/spec/template/spec/containers/0/image',
        'redis:7',
        'registry.example.com/acme/redis:7',
      ),
      ...record('{"containers/cache":"redis:7"}'),
    ],
  },
  'replicationcontroller-create': {
    planned: [
      [
        'httpd:2.4',
        'registry.example.com/acme/httpd:2.4',
        '/spec/template/spec/containers/0/image',
      ],
    ],
    patch: [
      ...swap(
        '/spec/template/spec/containers/0/image',
        'httpd:2.4',
        'registry.example.com/acme/httpd:2.4',
      ),
      ...record('{"containers/old":"httpd:2.4"}'),
    ],
  },
  'job-create': {
    planned: [
      [
        'busybox',
        'registry.example.com/acme/busybox:latest',
        '/spec/template/spec/containers/0/image',
      ],
    ],
    patch: [
      ...swap(
        '/spec/template/spec/containers/0/image',
        'busybox',
        'registry.example.com/acme/busybox:latest',
      ),
      ...record('{"containers/main":"busybox"}'),
    ],
  },
  'cronjob-create': {
    planned: [
      [
        'busybox',
        'registry.example.com/acme/busybox:latest',
        '/spec/jobTemplate/spec/template/spec/containers/0/image',
      ],
    ],
    patch: [
      ...swap(
        '/spec/jobTemplate/spec/template/spec/containers/0/image',
        'busybox',
        'registry.example.com/acme/busybox:latest',
      ),
      ...record('{"containers/main":"busybox"}'),
    ],
  },
  'podtemplate-create': {
    planned: [
      [
        'ghcr.io/stefanprodan/podinfo:6.7.1',
        'registry.example.com/acme/ghcr.io__stefanprodan__podinfo:6.7.1',
        '/template/spec/containers/0/image',
      ],
    ],
    patch: [
      ...swap(
        '/template/spec/containers/0/image',
        'ghcr.io/stefanprodan/podinfo:6.7.1',
        'registry.example.com/acme/ghcr.io__stefanprodan__podinfo:6.7.1',
      ),
      ...record('{"containers/main":"ghcr.io/stefanprodan/podinfo:6.7.1"}'),
    ],
  },
  'pod-create': {
    planned: [
      [
        'ghcr.io/stefanprodan/podinfo:6.7.1',
        'registry.example.com/acme/ghcr.io__stefanprodan__podinfo:6.7.1',
        '/spec/containers/0/image',
      ],
      ['alpine:3.12', 'registry.example.com/acme/alpine:3.12', '/spec/initContainers/0/image'],
      [
        'quay.io/acme/weights:v3',
        'registry.example.com/acme/quay.io__acme__weights:v3',
        '/spec/volumes/0/image/reference',
      ],
    ],
    patch: [
      ...swap(
        '/spec/containers/0/image',
        'ghcr.io/stefanprodan/podinfo:6.7.1',
        'registry.example.com/acme/ghcr.io__stefanprodan__podinfo:6.7.1',
      ),
      ...swap(
        '/spec/initContainers/0/image',
        'docker.io/library/alpine:3.12',
        'registry.example.com/acme/alpine:3.12',
      ),
      ...swap(
        '/spec/volumes/0/image/reference',
        'quay.io/acme/weights:v3',
        'registry.example.com/acme/quay.io__acme__weights:v3',
      ),
      ...record(
        '{"containers/serve":"ghcr.io/stefanprodan/podinfo:6.7.1","initContainers/fetch":"docker.io/library/alpine:3.12","volumes/weights":"quay.io/acme/weights:v3"}',
      ),
    ],
  },
  // The API server discards an annotation in a patch of this subresource.
  'pod-ephemeralcontainers': {
    planned: [
      [
        'busybox:1.36',
        'registry.example.com/acme/busybox:1.36',
        '/spec/ephemeralContainers/0/image',
      ],
    ],
    patch: swap(
      '/spec/ephemeralContainers/0/image',
      'busybox:1.36',
      'registry.example.com/acme/busybox:1.36',
    ),
    warnings: ['ephemeral container "look": runs the backup of busybox:1.36'],
  },
};

describe('recorded reviews', () => {
  const recorded = readdirSync(folder).map((file) => file.replace(/\.json$/, ''));

  it('every recorded review has an expectation', () => {
    assert.deepEqual(recorded.toSorted(), Object.keys(expectations).toSorted());
  });

  for (const [name, expected] of Object.entries(expectations)) {
    it(`plans the images of the recorded review ${name}`, () => {
      const plan = planReview(readFixture(name), policy);

      assert.deepEqual(plan.images.map(describeImage), expected.planned);
      assert.deepEqual(
        plan.reused.map(({ place }) => place.pointer),
        expected.reused ?? [],
      );
      assert.deepEqual(plan.refusals, []);
    });

    it(`answers the recorded review ${name}`, () => {
      const body = readFixture(name);

      const { response } = completeAll(planReview(body, policy));

      assert.equal(response.uid, valueAt(body, '/request/uid'));
      assert.equal(response.allowed, true);
      assert.deepEqual(response.warnings, expected.warnings);
      assert.equal(response.patchType, expected.patch === undefined ? undefined : 'JSONPatch');
      assert.deepEqual(decode(response.patch), expected.patch);
    });

    it(`tests in its patch only values that the recorded review ${name} contains`, () => {
      const object = valueAt(readFixture(name), '/request/object');

      for (const operation of expected.patch ?? []) {
        if (valueAt(operation, '/op') !== 'test') continue;
        const pointer = String(valueAt(operation, '/path'));
        assert.equal(valueAt(object, pointer), valueAt(operation, '/value'));
      }
    });
  }
});

function swap(path: string, original: string, backup: string): readonly object[] {
  return [
    { op: 'test', path, value: original },
    { op: 'replace', path, value: backup },
  ];
}

function record(originals: string): readonly object[] {
  return [
    { op: 'add', path: '/metadata/annotations/image-cloner~1original-images', value: originals },
  ];
}

function describeImage({
  source,
  backup,
  places,
}: ReviewPlan['images'][number]): readonly string[] {
  return [
    formatReference(source),
    formatReference(backup),
    ...places.map(({ pointer }) => pointer),
  ];
}

function completeAll(plan: ReviewPlan): ReturnType<typeof completeReview> {
  const outcomes = plan.images.map(({ key, backup }): readonly [string, CloneOutcome] => [
    key,
    { status: 'ready', image: backup, result: 'copied', bytes: 1, durationMs: 1, warnings: [] },
  ]);
  return completeReview(plan, new Map(outcomes));
}

function readFixture(name: string): unknown {
  return JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8'));
}

function decode(patch: string | undefined): unknown {
  return patch === undefined ? undefined : JSON.parse(atob(patch));
}

/** The value at a JSON pointer without escapes. */
function valueAt(node: unknown, pointer: string): unknown {
  return pointer
    .split('/')
    .slice(1)
    .reduce(
      (parent: unknown, key) =>
        typeof parent === 'object' && parent !== null ? Reflect.get(parent, key) : undefined,
      node,
    );
}
