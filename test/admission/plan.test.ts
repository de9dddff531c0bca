import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { planReview, type ReviewPlan } from '../../lib/admission/plan.ts';
import type { ReviewPolicy } from '../../lib/admission/policy.ts';
import { parseImagePattern } from '../../lib/image/pattern.ts';
import { formatReference } from '../../lib/image/reference.ts';
import {
  type DeploymentOptions,
  deployment,
  policy,
  type ReviewOptions,
  review,
} from '../support/reviews.ts';

const D = `sha256:${'d'.repeat(64)}`;
const E = `sha256:${'e'.repeat(64)}`;
const original = 'image-cloner/original-images';

function plan(options: ReviewOptions, change: Partial<ReviewPolicy> = {}): ReviewPlan {
  return planReview(review(options), policy(change));
}

/** The images to copy: source, backup, places. */
function copies({ images }: ReviewPlan): readonly unknown[] {
  return images.map(({ source, backup, places }) => [
    formatReference(source),
    formatReference(backup),
    places.map(({ id }) => id),
  ]);
}

function reused({ reused }: ReviewPlan): readonly unknown[] {
  return reused.map(({ place, image, original }) => [place.id, image, original]);
}

function assertNothing(planned: ReviewPlan): void {
  assert.deepEqual(copies(planned), []);
  assert.deepEqual(planned.reused, []);
  assert.deepEqual(planned.refusals, []);
  assert.deepEqual(planned.warnings, []);
}

/** The annotation that contains the original of `containers/web`. */
function recorded(text: string): DeploymentOptions {
  return { annotations: { [original]: `{"containers/web":"${text}"}` } };
}

function service(container: unknown, annotations: Readonly<Record<string, string>> = {}): unknown {
  const spec = { template: { spec: { containers: [container] } } };
  return { metadata: { name: 'web', annotations }, spec };
}

function debugged(ephemeralContainers: readonly unknown[]): unknown {
  const containers = [{ name: 'web', image: 'acme/nginx:1' }];
  return { spec: { containers, ephemeralContainers } };
}

function secrets(names: readonly string[]): DeploymentOptions {
  return { pod: { imagePullSecrets: names.map((name) => ({ name })) } };
}

/** The plan for an object of kind `group/Kind` with a controller of another. */
function planOwned(kind: string, owner: string, change: Partial<ReviewPolicy>): ReviewPlan {
  const [group, ownerKind] = owner.split('/');
  const apiVersion = group === '' ? 'v1' : `${group}/v1`;
  const pod = { containers: [{ name: 'web', image: 'nginx:1.27' }] };
  const ownerReferences = [{ apiVersion, kind: ownerKind, name: 'x', uid: 'y', controller: true }];
  const spec = kind === '/Pod' ? pod : { template: { spec: pod } };
  return plan({ kind, object: { metadata: { ownerReferences }, spec } }, change);
}

describe('planReview of a CREATE', () => {
  it('plans one copy for all spellings and places of an image', () => {
    const object = deployment(
      { web: 'nginx:1.27', side: 'docker.io/library/nginx:1.27', log: 'quay.io/fluent/bit:3' },
      { pod: { initContainers: [{ name: 'init', image: 'index.docker.io/library/nginx:1.27' }] } },
    );

    assert.deepEqual(copies(plan({ object })), [
      [
        'nginx:1.27',
        'acme/nginx:1.27',
        ['containers/web', 'containers/side', 'initContainers/init'],
      ],
      ['quay.io/fluent/bit:3', 'acme/quay.io__fluent__bit:3', ['containers/log']],
    ]);
  });

  it('plans no copy for images of the backup', () => {
    assertNothing(plan({ object: deployment({ web: 'acme/nginx:1.27', b: `acme/x@${D}` }) }));
  });

  it('copies images whose name has the backup as a string prefix only', () => {
    const object = deployment({ a: 'acme2/nginx:1', b: 'evil.io/acme/nginx:1' });

    assert.deepEqual(
      plan({ object }).images.map(({ source }) => formatReference(source)),
      ['acme2/nginx:1', 'evil.io/acme/nginx:1'],
    );
  });

  it('refuses an invalid image name and copies the other images', () => {
    const planned = plan({ object: deployment({ web: 'Nginx', log: 'fluent' }) });

    assert.deepEqual(
      planned.refusals.map(({ place, error }) => [place.id, error.code]),
      [['containers/web', 'INVALID_REFERENCE']],
    );
    assert.deepEqual(copies(planned), [['fluent', 'acme/fluent:latest', ['containers/log']]]);
  });

  it('reviews an unchanged image when imagePullPolicy Never is removed', () => {
    const at = (imagePullPolicy: string): unknown =>
      service({ name: 'web', image: 'evil.test/x:1', imagePullPolicy });
    const strict = { sourceRegistries: ['docker.io'] };
    const write = { object: at('IfNotPresent'), oldObject: at('Never') };

    const { refusals } = plan(write, strict);

    assert.deepEqual(
      refusals.map(({ error }) => error.message),
      ['evil.test/x:1 may not be used: SOURCE_REGISTRIES does not list evil.test'],
    );
    assertNothing(plan({ object: at('Never'), oldObject: at('Never') }, strict));
  });

  it('refuses registries that SOURCE_REGISTRIES does not list and names the variable', () => {
    const object = deployment({ a: 'nginx:1', b: 'quay.io/x/y:1', c: 'docker.io.evil/x:1' });

    const planned = plan({ object }, { sourceRegistries: ['docker.io'] });

    assert.deepEqual(
      planned.refusals.map(({ error }) => [error.code, error.message]),
      [
        [
          'REGISTRY_NOT_ALLOWED',
          'quay.io/x/y:1 may not be used: SOURCE_REGISTRIES does not list quay.io',
        ],
        [
          'REGISTRY_NOT_ALLOWED',
          'docker.io.evil/x:1 may not be used: SOURCE_REGISTRIES does not list docker.io.evil',
        ],
      ],
    );
    assert.deepEqual(copies(planned), [['nginx:1', 'acme/nginx:1', ['containers/a']]]);
  });

  it('ignores images that IGNORE_IMAGES matches, with a warning', () => {
    const ignoreImages = [parseImagePattern('quay.io/**')];
    const object = deployment({ web: 'quay.io/x/y:1' });

    const planned = plan({ object }, { ignoreImages, sourceRegistries: ['docker.io'] });

    assert.deepEqual(planned.warnings, ['container "web": ignored: IGNORE_IMAGES has quay.io/**']);
    assertNothing({ ...planned, warnings: [] });
  });

  const injected: readonly (readonly [string, object])[] = [
    ['label', { labels: { 'sidecar.istio.io/inject': 'true' } }],
    ['annotation', { annotations: { 'sidecar.istio.io/inject': 'true' } }],
    ['gateway annotation', { annotations: { 'inject.istio.io/templates': 'gateway' } }],
  ];
  for (const [what, metadata] of injected) {
    it(`ignores the image "auto" with Istio's ${what}, with a warning, and copies the other images`, () => {
      const containers = [
        { name: 'istio-proxy', image: 'auto' },
        { name: 'web', image: 'nginx:1.27' },
      ];

      const planned = plan({ object: { spec: { template: { metadata, spec: { containers } } } } });

      assert.deepEqual(planned.warnings, [
        'container "istio-proxy": ignored: image "auto" is a placeholder',
      ]);
      assert.deepEqual(copies(planned), [['nginx:1.27', 'acme/nginx:1.27', ['containers/web']]]);
      assert.deepEqual(planned.refusals, []);
    });
  }

  for (const metadata of [{}, { labels: { 'sidecar.istio.io/inject': 'false' } }]) {
    it(`copies an image named "auto" with the metadata ${JSON.stringify(metadata)}`, () => {
      const containers = [{ name: 'web', image: 'auto' }];

      const planned = plan({ object: { spec: { template: { metadata, spec: { containers } } } } });

      assert.deepEqual(copies(planned), [['auto', 'acme/auto:latest', ['containers/web']]]);
    });
  }

  it('ignores the image " " of a template, which Kubernetes accepts as not yet set', () => {
    const planned = plan({ object: deployment({ web: ' ' }) });

    assert.deepEqual(planned.warnings, ['container "web": ignored: image " " is a placeholder']);
    assertNothing({ ...planned, warnings: [] });
  });

  it('ignores images with imagePullPolicy Never, with a warning', () => {
    const spec = { containers: [{ name: 'web', image: 'nginx', imagePullPolicy: 'Never' }] };

    const planned = plan({ kind: '/Pod', object: { spec } });

    assert.deepEqual(planned.warnings, ['container "web": ignored: imagePullPolicy is Never']);
    assertNothing({ ...planned, warnings: [] });
  });

  const web = { web: 'nginx:1.27' };
  const untouched: readonly (readonly [string, ReviewOptions, Partial<ReviewPolicy>?])[] = [
    [
      'an object labelled disabled',
      { object: deployment(web, { labels: { 'image-cloner': 'disabled' } }) },
    ],
    [
      'a pod template labelled disabled',
      { object: deployment(web, { templateLabels: { 'image-cloner': 'disabled' } }) },
    ],
    [
      'a mirror pod',
      {
        kind: '/Pod',
        object: {
          metadata: { annotations: { 'kubernetes.io/config.mirror': 'x' } },
          spec: { containers: [{ name: 'etcd', image: 'registry.k8s.io/etcd:3' }] },
        },
      },
    ],
    [
      'an excluded namespace',
      { object: deployment(web), namespace: 'registry' },
      { excludedNamespaces: ['kube-system', 'registry'] },
    ],
    [
      'our own Knative Service',
      {
        kind: 'serving.knative.dev/Service',
        name: 'image-cloner',
        namespace: 'ours',
        object: deployment(web),
      },
      { ownService: { namespace: 'ours', name: 'image-cloner' } },
    ],
    [
      'a Deployment of our own Knative Service',
      {
        name: 'image-cloner-00001-deployment',
        namespace: 'ours',
        object: deployment(web, { labels: { 'serving.knative.dev/service': 'image-cloner' } }),
      },
      { ownService: { namespace: 'ours', name: 'image-cloner' } },
    ],
    ['a DELETE', { operation: 'DELETE', oldObject: deployment(web) }],
    ['a CONNECT', { operation: 'CONNECT', kind: '/Pod', subResource: 'exec', object: {} }],
    ['another kind', { kind: '/ConfigMap', object: { data: {} } }],
    ['a custom resource', { kind: 'argoproj.io/Rollout', object: deployment(web) }],
    ['deployments/scale', { kind: 'autoscaling/Scale', subResource: 'scale', object: {} }],
    [
      'deployments/status',
      { subResource: 'status', object: deployment(web), oldObject: deployment(web) },
    ],
  ];
  for (const [name, options, change] of untouched) {
    it(`plans no copy for ${name}`, () => {
      assertNothing(plan(options, change));
    });
  }

  const touched: readonly (readonly [string, ReviewOptions, Partial<ReviewPolicy>?])[] = [
    [
      'the label image-cloner: enabled',
      { object: deployment(web, { labels: { 'image-cloner': 'enabled' } }) },
    ],
    [
      'a Service of our name elsewhere',
      {
        kind: 'serving.knative.dev/Service',
        name: 'image-cloner',
        namespace: 'theirs',
        object: deployment(web),
      },
      { ownService: { namespace: 'ours', name: 'image-cloner' } },
    ],
    [
      'a Deployment of our name',
      { name: 'image-cloner', namespace: 'ours', object: deployment(web) },
      { ownService: { namespace: 'ours', name: 'image-cloner' } },
    ],
    [
      'a namespace that begins like an excluded one',
      { object: deployment(web), namespace: 'registry2' },
      { excludedNamespaces: ['registry'] },
    ],
  ];
  for (const [name, options, change] of touched) {
    it(`copies images in spite of ${name}`, () => {
      assert.deepEqual(copies(plan(options, change)), [
        ['nginx:1.27', 'acme/nginx:1.27', ['containers/web']],
      ]);
    });
  }

  it('plans copies for 400 containers', () => {
    const images = Object.fromEntries(
      Array.from({ length: 400 }, (_, i) => [`c${i}`, `quay.io/x/y:${i % 100}`] as const),
    );

    const { images: planned } = plan({ object: deployment(images), oldObject: deployment({}) });

    assert.equal(planned.length, 100);
    assert.equal(planned[7]?.places.length, 4);
  });

  const bodies: readonly (readonly [name: string, body: unknown, problem: string])[] = [
    ['null', null, 'the body is not an object'],
    ['a list', [], 'the body is not an object'],
    ['a string', 'x', 'the body is not an object'],
    ['{}', {}, 'apiVersion is missing'],
    [
      'v1beta1',
      { apiVersion: 'admission.k8s.io/v1beta1' },
      'apiVersion is not admission.k8s.io/v1',
    ],
    [
      'another kind',
      { apiVersion: 'admission.k8s.io/v1', kind: 'Pod' },
      'kind is not AdmissionReview',
    ],
    [
      'no request',
      { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview' },
      'request is missing',
    ],
    ...(
      [
        [{ uid: '' }, 'request.uid is empty'],
        [{ uid: 7 }, 'request.uid is not a string'],
        [{ uid: 'u' }, 'request.kind is missing'],
        [{ uid: 'u', kind: { kind: {} } }, 'request.kind.kind is not a string'],
        [{ uid: 'u', kind: { kind: 'Pod' } }, 'request.operation is missing'],
        [
          { uid: 'u', kind: { kind: 'Pod' }, operation: 'CREATE', dryRun: 'yes' },
          'request.dryRun is not a boolean',
        ],
        [{ uid: 'u', kind: { kind: 'Pod' }, operation: 'CREATE' }, 'request.object is missing'],
        [
          { uid: 'u', kind: { kind: 'Pod' }, operation: 'UPDATE', object: {} },
          'request.oldObject is missing',
        ],
      ] as const
    ).map(
      ([request, problem]) =>
        [
          JSON.stringify(request),
          { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request },
          problem,
        ] as const,
    ),
  ];
  for (const [name, body, problem] of bodies) {
    it(`rejects the review body ${name}: ${problem}`, () => {
      assert.throws(() => planReview(body, policy()), {
        name: 'CloneError',
        code: 'INVALID_REVIEW',
        message: `not an AdmissionReview: ${problem}`,
      });
    });
  }
});

describe('planReview of an UPDATE', () => {
  it('plans no copy for an UPDATE that changes no image', () => {
    const object = deployment({ web: 'acme/nginx:1.27' }, recorded('nginx:1.27'));

    assertNothing(plan({ object, oldObject: object }));
  });

  it('warns about unchanged images outside the backup and does not copy them', () => {
    const object = deployment({ web: 'nginx:1.27', log: 'fluent' });

    const planned = plan({ object, oldObject: object });

    assert.deepEqual(planned.warnings, [
      'container "web" and 1 more: their images are unchanged and not in the backup; "just backfill" copies them',
    ]);
    assertNothing({ ...planned, warnings: [] });
  });

  it('does not refuse an unchanged image that the policy would refuse now', () => {
    const object = deployment({ a: 'Nginx', b: 'quay.io/x/y' });

    const { refusals } = plan({ object, oldObject: object }, { sourceRegistries: ['docker.io'] });

    assert.deepEqual(refusals, []);
  });

  it('copies only the images that an UPDATE changes', () => {
    const planned = plan({
      object: deployment({ web: 'nginx:1.28', log: 'fluent' }),
      oldObject: deployment({ web: 'nginx:1.27', log: 'fluent' }),
    });

    assert.deepEqual(copies(planned), [['nginx:1.28', 'acme/nginx:1.28', ['containers/web']]]);
  });

  it('copies the image of a new container at any position in the list', () => {
    const planned = plan({
      object: deployment({ init: 'busybox', web: 'acme/nginx:1.27' }, recorded('nginx:1.27')),
      oldObject: deployment({ web: 'acme/nginx:1.27' }, recorded('nginx:1.27')),
    });

    assert.deepEqual(copies(planned), [['busybox', 'acme/busybox:latest', ['containers/init']]]);
    assert.deepEqual([...planned.recordedOriginals], [['containers/web', 'nginx:1.27']]);
  });

  const sameWrites: readonly (readonly [
    name: string,
    now: string,
    then: string,
    record: string | undefined,
    expected: readonly unknown[],
  ])[] = [
    [
      'the same image',
      'nginx:1.27',
      'acme/nginx:1.27',
      'nginx:1.27',
      ['acme/nginx:1.27', 'nginx:1.27'],
    ],
    [
      'the same image with no record',
      'nginx:1.27',
      'acme/nginx:1.27',
      undefined,
      ['acme/nginx:1.27', 'nginx:1.27'],
    ],
    ['the implied tag', 'nginx', 'acme/nginx:latest', 'nginx', ['acme/nginx:latest', 'nginx']],
    [
      'another spelling',
      'docker.io/library/nginx:1.27',
      'acme/nginx:1.27',
      'nginx:1.27',
      ['acme/nginx:1.27', 'nginx:1.27'],
    ],
    [
      'an image that we pinned',
      'nginx:1.27',
      `acme/nginx:1.27@${E}`,
      'nginx:1.27',
      [`acme/nginx:1.27@${E}`, 'nginx:1.27'],
    ],
    [
      'a pinned image with that digest on record',
      `nginx:1.27@${D}`,
      `acme/nginx:1.27@${E}`,
      `nginx:1.27@${D}`,
      [`acme/nginx:1.27@${E}`, `nginx:1.27@${D}`],
    ],
  ];
  for (const [name, now, then, record, expected] of sameWrites) {
    it(`reuses the copy of the old object for ${name}`, () => {
      const oldObject = deployment({ web: then }, record === undefined ? {} : recorded(record));

      const planned = plan({ object: deployment({ web: now }), oldObject });

      assert.deepEqual(reused(planned), [['containers/web', ...expected]]);
      assertNothing({ ...planned, reused: [] });
    });
  }

  const otherWrites: readonly (readonly [
    name: string,
    now: string,
    then: string,
    record?: string,
  ])[] = [
    ['another tag', 'nginx:1.28', 'acme/nginx:1.27', 'nginx:1.27'],
    ['another repository', 'nginx:1.27', 'acme/bitnami__nginx:1.27', 'bitnami/nginx:1.27'],
    ['another backup', 'nginx:1.27', 'other/nginx:1.27', 'nginx:1.27'],
    ['another digest on record', `nginx:1.27@${D}`, `acme/nginx:1.27@${E}`, `nginx:1.27@${E}`],
    ['a digest now, none on record', `nginx:1.27@${D}`, 'acme/nginx:1.27', 'nginx:1.27'],
    ['a digest now and no record', `nginx:1.27@${D}`, `acme/nginx:1.27@${D}`],
    ['a digest on record, none now', 'nginx:1.27', `acme/nginx:1.27@${D}`, `nginx:1.27@${D}`],
    ['a record that is no image', 'nginx:1.27', 'acme/nginx:1.27', 'Nginx'],
  ];
  for (const [name, now, then, record] of otherWrites) {
    it(`copies again and reuses nothing for ${name}`, () => {
      const oldObject = deployment({ web: then }, record === undefined ? {} : recorded(record));

      const planned = plan({ object: deployment({ web: now }), oldObject });

      assert.deepEqual(planned.reused, []);
      assert.equal(planned.images.length, 1);
    });
  }

  it('reuses the copy of the old object although the policy forbids or ignores the image now', () => {
    const planned = plan(
      {
        object: deployment({ web: 'nginx:1.27' }),
        oldObject: deployment({ web: 'acme/nginx:1.27' }, recorded('nginx:1.27')),
      },
      { sourceRegistries: ['quay.io'], ignoreImages: [parseImagePattern('**')] },
    );

    assert.deepEqual(reused(planned), [['containers/web', 'acme/nginx:1.27', 'nginx:1.27']]);
    assertNothing({ ...planned, reused: [] });
  });

  it('reuses the copy of a container that Knative has named since', () => {
    const planned = plan({
      kind: 'serving.knative.dev/Service',
      object: service({ image: 'nginx:1.27' }),
      oldObject: service(
        { name: 'user-container', image: 'acme/nginx:1.27' },
        { [original]: '{"containers[0]":"nginx:1.27"}' },
      ),
    });

    assert.deepEqual(reused(planned), [['containers[0]', 'acme/nginx:1.27', 'nginx:1.27']]);
    assertNothing({ ...planned, reused: [] });
  });

  it('reuses the copy of an image with a digest when the manifest names the container, too', () => {
    const stored = `acme/nginx:sha256.${'d'.repeat(64)}@${D}`;
    const planned = plan({
      kind: 'serving.knative.dev/Service',
      object: service({ name: 'user-container', image: `nginx@${D}` }),
      oldObject: service(
        { name: 'user-container', image: stored },
        { [original]: `{"containers[0]":"nginx@${D}"}` },
      ),
    });

    assert.deepEqual(reused(planned), [['containers/user-container', stored, `nginx@${D}`]]);
    assertNothing({ ...planned, reused: [] });
  });

  it('does not take the entry of another container for the position of a reused copy', () => {
    const planned = plan({
      object: deployment({ web: 'nginx:1.27' }),
      oldObject: deployment(
        { log: 'acme/fluent:1', web: 'acme/nginx:1.27' },
        { annotations: { [original]: '{"containers[0]":"fluent:1"}' } },
      ),
    });

    assert.deepEqual(reused(planned), [['containers/web', 'acme/nginx:1.27', 'nginx:1.27']]);
  });

  it('takes the original of an unchanged copy from the annotation of the old object', () => {
    const object = deployment({ web: 'acme/nginx:1.27', log: 'fluent' });
    const oldObject = deployment({ web: 'acme/nginx:1.27' }, recorded('nginx:1.27'));

    const { recordedOriginals } = plan({ object, oldObject });

    assert.deepEqual([...recordedOriginals], [['containers/web', 'nginx:1.27']]);
  });

  it('drops the original-images entry of another image', () => {
    const object = deployment({ web: 'acme/redis:7', log: 'fluent' }, recorded('nginx:1.27'));

    assert.deepEqual([...plan({ object, oldObject: object }).recordedOriginals], []);
  });

  const backfill = { annotations: { 'image-cloner/backfill': '2026-11-24' } };

  it('copies unchanged images when the backfill annotation changes', () => {
    const planned = plan({
      object: deployment({ web: 'nginx:1.27', log: 'acme/fluent:1' }, backfill),
      oldObject: deployment({ web: 'nginx:1.27', log: 'acme/fluent:1' }),
    });

    assert.deepEqual(copies(planned), [['nginx:1.27', 'acme/nginx:1.27', ['containers/web']]]);
    assert.deepEqual(planned.warnings, []);
  });

  it('copies no unchanged image when the backfill annotation stays', () => {
    const object = deployment({ web: 'nginx:1.27' }, backfill);

    assert.deepEqual(copies(plan({ object, oldObject: object })), []);
  });

  it('reuses the copy when kubectl replace removes the backfill annotation', () => {
    const planned = plan({
      object: deployment({ web: 'nginx:1.27' }),
      oldObject: deployment({ web: 'acme/nginx:1.27' }, backfill),
    });

    assert.deepEqual(reused(planned), [['containers/web', 'acme/nginx:1.27', 'nginx:1.27']]);
  });

  it('copies images of new ephemeral containers only, and patches images only', () => {
    const planned = plan({
      kind: '/Pod',
      subResource: 'ephemeralcontainers',
      object: debugged([{ name: 'debug', image: 'busybox' }]),
      oldObject: debugged([]),
    });

    assert.deepEqual(copies(planned), [
      ['busybox', 'acme/busybox:latest', ['ephemeralContainers/debug']],
    ]);
    assert.equal(planned.imagesOnly, true);
  });
});

describe('planReview of an object with a controller', () => {
  const cases: readonly (readonly [
    kind: string,
    owner: string,
    cloneOnlyOwners: readonly string[],
    isCloneOnly: boolean,
  ])[] = [
    ['/Pod', 'apps/ReplicaSet', ['*'], false],
    ['/Pod', '/ReplicationController', ['*'], false],
    ['/Pod', 'apps/DaemonSet', ['*'], false],
    ['/Pod', 'apps/StatefulSet', ['*'], false],
    ['/Pod', 'batch/Job', ['*'], false],
    ['batch/Job', 'batch/CronJob', ['*'], false],
    ['/Pod', 'postgresql.cnpg.io/Cluster', ['*'], true],
    ['/Pod', 'evil.io/ReplicaSet', ['*'], true],
    ['/Pod', '/Node', ['*'], true],
    ['apps/ReplicaSet', 'apps/Deployment', ['*'], true],
    ['apps/ReplicaSet', 'argoproj.io/Rollout', ['*'], true],
    ['apps/Deployment', 'serving.knative.dev/Revision', ['*'], true],
    ['serving.knative.dev/Configuration', 'serving.knative.dev/Service', ['*'], true],
    ['apps/StatefulSet', 'monitoring.coreos.com/Prometheus', ['*'], true],
    ['apps/Deployment', 'batch/CronJob', ['*'], true],
    // CLONE_ONLY_OWNERS narrows the rule, except for owners that revert every patch.
    ['/Pod', 'postgresql.cnpg.io/Cluster', ['argoproj.io/Rollout'], false],
    ['/Pod', 'postgresql.cnpg.io/Cluster', ['postgresql.cnpg.io/Cluster'], true],
    ['apps/ReplicaSet', 'argoproj.io/Rollout', ['argoproj.io/Rollout'], true],
    ['apps/ReplicaSet', 'argoproj.io/Rollout', ['apps/Deployment'], false],
    ['apps/ReplicaSet', 'apps/Deployment', ['argoproj.io/Rollout'], true],
    ['serving.knative.dev/Configuration', 'serving.knative.dev/Service', ['x/Y'], true],
    ['apps/Deployment', 'serving.knative.dev/Revision', ['x/Y'], true],
    // Listing a built-in controller has no effect on the Pods that it creates.
    ['/Pod', 'apps/ReplicaSet', ['apps/ReplicaSet'], false],
  ];
  for (const [kind, owner, cloneOnlyOwners, isCloneOnly] of cases) {
    const what = isCloneOnly ? 'does not patch' : 'patches';
    it(`${what} a ${kind} owned by ${owner} with CLONE_ONLY_OWNERS=${cloneOnlyOwners.join(',')}`, () => {
      const planned = planOwned(kind, owner, { cloneOnlyOwners });

      assert.equal(planned.isCloneOnly, isCloneOnly);
      assert.equal(planned.images.length, 1);
      assert.deepEqual(
        planned.warnings,
        isCloneOnly
          ? [
              `images are copied, but this object is left as it is: ${owner.split('/')[1] ?? ''} controls it`,
            ]
          : [],
      );
    });
  }
});

describe('planReview with BACKUP_PULL_SECRET', () => {
  const cases: readonly (readonly [
    name: string,
    now: readonly string[] | undefined,
    then: readonly string[] | undefined,
    expected: ReviewPlan['pullSecrets'],
  ])[] = [
    [
      'if the pod names no pull secret',
      undefined,
      undefined,
      { whenCopied: ['backup'], whenReused: [] },
    ],
    [
      'if the pod names other pull secrets',
      ['mine'],
      undefined,
      { whenCopied: ['backup'], whenReused: [] },
    ],
    [
      'not if the pod names it already',
      ['mine', 'backup'],
      undefined,
      { whenCopied: [], whenReused: [] },
    ],
    [
      'if the old object has it',
      ['mine'],
      ['mine', 'backup'],
      { whenCopied: ['backup'], whenReused: ['backup'] },
    ],
    [
      'if the old object does not have it',
      ['mine'],
      ['mine'],
      { whenCopied: ['backup'], whenReused: [] },
    ],
  ];
  for (const [name, now, then, expected] of cases) {
    it(`appends the pull secret ${name}`, () => {
      const object = deployment({ web: 'nginx' }, now && secrets(now));
      const oldObject = then && deployment({ web: 'acme/nginx:latest' }, secrets(then));

      const { pullSecrets } = plan(
        { object, oldObject: oldObject ?? null },
        { backupPullSecret: 'backup' },
      );

      assert.deepEqual(pullSecrets, expected);
    });
  }
});

describe('planReview of many or long pull secret names', () => {
  it('keeps the first hundred pull secret names of valid length', () => {
    const names = Array.from({ length: 1_000 }, (_, n) => (n === 0 ? 'x'.repeat(254) : `s${n}`));
    const { pod } = secrets(names);

    const planned = plan({
      object: deployment({ web: 'nginx' }, { pod: { ...pod, serviceAccountName: 'web' } }),
    });
    const long = plan({
      object: deployment({ web: 'nginx' }, { pod: { serviceAccountName: 'x'.repeat(254) } }),
    });

    assert.deepEqual(planned.pod, {
      namespace: 'default',
      names: names.slice(1, 101),
      serviceAccount: 'web',
    });
    assert.deepEqual(long.pod, { namespace: 'default', names: [] });
  });
});

describe('planReview of many images', () => {
  it('refuses an object with more than 200 different images and copies none of them', () => {
    const containers = (count: number): object[] =>
      Array.from({ length: count }, (_, index) => ({
        name: `c${index}`,
        image: `reg.test/a:${index}`,
      }));
    const plan = (count: number): ReturnType<typeof planReview> =>
      planReview(
        review({ kind: '/Pod', object: { metadata: {}, spec: { containers: containers(count) } } }),
        policy(),
      );

    assert.equal(plan(200).images.length, 200);
    assert.equal(plan(201).images.length, 0);
    assert.deepEqual(
      plan(201).refusals.map(({ error }) => [error.code, error.message]),
      [
        [
          'TOO_MANY_IMAGES',
          'the object names 201 different images, and at most 200 are copied for one object: split it',
        ],
      ],
    );
  });

  it('does not confuse a container named "0" with the first container', () => {
    const object = (...containers: object[]): object => ({ metadata: {}, spec: { containers } });
    const web = (image: string): object => ({ name: 'web', image });

    const { images } = planReview(
      review({
        kind: '/Pod',
        oldObject: object(web('app:1')),
        object: object(web('app:2'), { name: '0', image: 'app:1' }),
      }),
      policy(),
    );

    assert.deepEqual(
      images.map(({ key }) => key),
      ['docker.io/library/app:2', 'docker.io/library/app:1'],
    );
  });
});
