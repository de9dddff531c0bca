import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { completeReview } from '../../../lib/admission/answer/complete.ts';
import { planReview } from '../../../lib/admission/plan.ts';
import type { ReviewPolicy } from '../../../lib/admission/policy.ts';
import type { AdmissionReview } from '../../../lib/admission/review.ts';
import { CloneError, type CloneErrorCode } from '../../../lib/errors.ts';
import { parseReference } from '../../../lib/image/reference.ts';
import type { CloneOutcome } from '../../../lib/ports/index.ts';
import {
  deployment,
  firstImage,
  patchOf,
  policy,
  type ReviewOptions,
  replaced,
  review,
  uid,
} from '../../support/reviews.ts';

const D = `sha256:${'d'.repeat(64)}`;

function ready(
  image: string,
  change: Partial<CloneOutcome & { status: 'ready' }> = {},
): CloneOutcome {
  return {
    status: 'ready',
    image: parseReference(image),
    result: 'copied',
    bytes: 1234,
    durationMs: 56.4,
    warnings: [],
    ...change,
  };
}

function failed(code: CloneErrorCode, message: string): CloneOutcome {
  return { status: 'failed', error: new CloneError(code, message) };
}

function pending(retryAfterSeconds: number): CloneOutcome {
  return { status: 'pending', detail: '43 %, 112 of 260 MiB pulled', retryAfterSeconds };
}

const nginx = 'docker.io/library/nginx:1.27';
const fluent = 'docker.io/library/fluent:3';
const gone = failed('SOURCE_NOT_FOUND', 'nginx:1.27 does not exist on docker.io');
const both = { object: deployment({ web: 'nginx:1.27', log: 'fluent:3' }) };

function complete(
  options: ReviewOptions,
  outcomes: Readonly<Record<string, CloneOutcome>> = {},
  change: Partial<ReviewPolicy> = {},
): AdmissionReview {
  const plan = planReview(review(options), policy(change));
  return completeReview(plan, new Map(Object.entries(outcomes)));
}

describe('completeReview of a review without images to copy', () => {
  const cases: readonly (readonly [name: string, options: ReviewOptions])[] = [
    ['a DELETE', { operation: 'DELETE', oldObject: deployment({ web: 'nginx' }) }],
    ['a CONNECT', { operation: 'CONNECT', kind: '/Pod', subResource: 'exec', object: {} }],
    ['another kind', { kind: '/ConfigMap', object: {} }],
    ['a scale', { kind: 'autoscaling/Scale', subResource: 'scale', object: {} }],
    ['images of the backup', { object: deployment({ web: 'acme/nginx:1' }) }],
  ];
  for (const [name, options] of cases) {
    it(`allows ${name} without a patch or warning and echoes the uid`, () => {
      assert.deepEqual(complete(options), {
        apiVersion: 'admission.k8s.io/v1',
        kind: 'AdmissionReview',
        response: { uid, allowed: true },
      });
    });
  }
});

describe('completeReview of images that are in the backup', () => {
  it('patches each image after a test of the old value and records the originals', () => {
    const answer = complete(both, {
      [nginx]: ready('acme/nginx:1.27'),
      [fluent]: ready('acme/fluent:3', { result: 'present', bytes: 0 }),
    });

    assert.equal(answer.response.allowed, true);
    assert.equal(answer.response.warnings, undefined);
    assert.deepEqual(patchOf(answer), [
      { op: 'test', path: '/spec/template/spec/containers/0/image', value: 'nginx:1.27' },
      { op: 'replace', path: '/spec/template/spec/containers/0/image', value: 'acme/nginx:1.27' },
      { op: 'test', path: '/spec/template/spec/containers/1/image', value: 'fluent:3' },
      { op: 'replace', path: '/spec/template/spec/containers/1/image', value: 'acme/fluent:3' },
      {
        op: 'add',
        path: '/metadata/annotations',
        value: {
          'image-cloner/original-images':
            '{"containers/log":"fluent:3","containers/web":"nginx:1.27"}',
        },
      },
    ]);
    assert.deepEqual(answer.response.auditAnnotations, {
      'containers.web': 'nginx:1.27 -> acme/nginx:1.27, copied, 1234 bytes, 56 ms',
      'containers.log': 'fluent:3 -> acme/fluent:3, present, 0 bytes, 56 ms',
    });
  });

  const results = ['copied', 'present', 'fallback', 'planned'] as const;
  for (const result of results) {
    it(`names the digest of the copy in the audit annotation of an image that is ${result}`, () => {
      const answer = complete(
        { object: deployment({ web: 'nginx:1.27' }) },
        { [nginx]: ready('acme/nginx:1.27', { result, bytes: 0, digest: D }) },
      );

      assert.deepEqual(answer.response.auditAnnotations, {
        'containers.web': `nginx:1.27 -> acme/nginx:1.27@${D}, ${result}, 0 bytes, 56 ms`,
      });
      assert.match(JSON.stringify(patchOf(answer)), /"value":"acme\/nginx:1\.27"/);
    });
  }

  it('writes the whole text of a long warning into the audit annotation', () => {
    const warning = `using the backup of nginx:1.27: ${'docker.io did not answer; '.repeat(8)}`;
    const answer = complete(
      { object: deployment({ web: 'nginx:1.27' }) },
      { [nginx]: ready('acme/nginx:1.27', { result: 'fallback', bytes: 0, warnings: [warning] }) },
    );

    assert.deepEqual(answer.response.auditAnnotations, {
      'containers.web': `nginx:1.27 -> acme/nginx:1.27, fallback, 0 bytes, 56 ms; ${warning}`,
    });
  });

  const pod = {
    spec: {
      containers: [{ name: 'web', image: 'nginx:1.27' }],
      initContainers: [{ name: 'a', image: 'nginx:1.27' }],
      ephemeralContainers: [{ name: 'b', image: 'nginx:1.27' }],
      volumes: [{ name: 'none' }, { name: 'c', image: { reference: 'nginx:1.27' } }],
    },
  };
  const template = { spec: { template: pod } };
  const kinds: readonly (readonly [kind: string, object: object, podSpec: string])[] = [
    ['/Pod', pod, '/spec'],
    ['apps/Deployment', template, '/spec/template/spec'],
    ['apps/DaemonSet', template, '/spec/template/spec'],
    ['apps/StatefulSet', template, '/spec/template/spec'],
    ['apps/ReplicaSet', template, '/spec/template/spec'],
    ['/ReplicationController', template, '/spec/template/spec'],
    ['batch/Job', template, '/spec/template/spec'],
    [
      'batch/CronJob',
      { spec: { jobTemplate: { spec: { template: pod } } } },
      '/spec/jobTemplate/spec/template/spec',
    ],
    ['/PodTemplate', { template: pod }, '/template/spec'],
    ['serving.knative.dev/Service', template, '/spec/template/spec'],
    ['serving.knative.dev/Configuration', template, '/spec/template/spec'],
  ];
  for (const [kind, object, podSpec] of kinds) {
    it(`patches every image of a ${kind} and the metadata of the object`, () => {
      const answer = complete(
        { kind, object: { metadata: { name: 'x' }, ...object } },
        { [nginx]: ready('acme/nginx:1.27') },
      );

      assert.deepEqual(patchOf(answer), [
        ...replaced(`${podSpec}/containers/0/image`, 'nginx:1.27', 'acme/nginx:1.27'),
        ...replaced(`${podSpec}/initContainers/0/image`, 'nginx:1.27', 'acme/nginx:1.27'),
        ...replaced(`${podSpec}/ephemeralContainers/0/image`, 'nginx:1.27', 'acme/nginx:1.27'),
        ...replaced(`${podSpec}/volumes/1/image/reference`, 'nginx:1.27', 'acme/nginx:1.27'),
        {
          op: 'add',
          path: '/metadata/annotations',
          value: {
            'image-cloner/original-images':
              '{"containers/web":"nginx:1.27","ephemeralContainers/b":"nginx:1.27","initContainers/a":"nginx:1.27","volumes/c":"nginx:1.27"}',
          },
        },
      ]);
    });
  }

  const record = '{"containers/web":"nginx:1.27"}';
  const annotationPatches: readonly (readonly [metadata: unknown, expected: readonly unknown[]])[] =
    [
      [
        undefined,
        [
          {
            op: 'add',
            path: '/metadata',
            value: { annotations: { 'image-cloner/original-images': record } },
          },
        ],
      ],
      [
        { annotations: null },
        [
          {
            op: 'add',
            path: '/metadata/annotations',
            value: { 'image-cloner/original-images': record },
          },
        ],
      ],
      [
        { annotations: { other: 'kept' } },
        [{ op: 'add', path: '/metadata/annotations/image-cloner~1original-images', value: record }],
      ],
      [
        { annotations: { 'image-cloner/original-images': 'nonsense' } },
        [{ op: 'add', path: '/metadata/annotations/image-cloner~1original-images', value: record }],
      ],
      [{ annotations: { 'image-cloner/original-images': record } }, []],
    ];
  for (const [metadata, expected] of annotationPatches) {
    it(`adds the annotation to metadata ${JSON.stringify(metadata) ?? 'that is absent'}`, () => {
      const spec = { containers: [{ name: 'web', image: 'nginx:1.27' }] };
      const answer = complete(
        { kind: '/Pod', object: { metadata, spec } },
        { [nginx]: ready('acme/nginx:1.27') },
      );

      assert.deepEqual(patchOf(answer), [
        ...replaced('/spec/containers/0/image', 'nginx:1.27', 'acme/nginx:1.27'),
        ...expected,
      ]);
    });
  }

  it('patches the digest of a pinned backup', () => {
    const answer = complete(both, {
      [nginx]: ready(`acme/nginx:1.27@${D}`),
      [fluent]: ready('acme/fluent:3'),
    });

    assert.match(JSON.stringify(patchOf(answer)), new RegExp(`"acme/nginx:1.27@${D}"`));
  });

  const pullSecretPatches: readonly (readonly [now: unknown, expected: readonly unknown[]])[] = [
    [
      undefined,
      [{ op: 'add', path: '/spec/template/spec/imagePullSecrets', value: [{ name: 'backup' }] }],
    ],
    [
      null,
      [{ op: 'add', path: '/spec/template/spec/imagePullSecrets', value: [{ name: 'backup' }] }],
    ],
    [
      [],
      [{ op: 'add', path: '/spec/template/spec/imagePullSecrets/-', value: { name: 'backup' } }],
    ],
    [
      [{ name: 'mine' }],
      [{ op: 'add', path: '/spec/template/spec/imagePullSecrets/-', value: { name: 'backup' } }],
    ],
    [[{ name: 'backup' }], []],
  ];
  for (const [imagePullSecrets, expected] of pullSecretPatches) {
    it(`appends the pull secret to imagePullSecrets ${JSON.stringify(imagePullSecrets) ?? 'that are absent'}`, () => {
      const answer = complete(
        { object: deployment({ web: 'nginx:1.27' }, { pod: { imagePullSecrets } }) },
        { [nginx]: ready('acme/nginx:1.27') },
        { backupPullSecret: 'backup' },
      );

      assert.deepEqual(patchOf(answer), [
        ...replaced(firstImage, 'nginx:1.27', 'acme/nginx:1.27'),
        {
          op: 'add',
          path: '/metadata/annotations',
          value: { 'image-cloner/original-images': record },
        },
        ...expected,
      ]);
    });
  }

  it('appends no pull secret if no image changes', () => {
    const object = deployment({ web: 'acme/nginx:1.27' });

    assert.equal(patchOf(complete({ object }, {}, { backupPullSecret: 'backup' })), undefined);
  });

  it('patches only the image of an ephemeral container and names the original in a warning', () => {
    const options = {
      kind: '/Pod',
      subResource: 'ephemeralcontainers',
      object: { spec: { ephemeralContainers: [{ name: 'debug', image: 'nginx:1.27' }] } },
      oldObject: { spec: {} },
    };

    const answer = complete(
      options,
      { [nginx]: ready('acme/nginx:1.27') },
      { backupPullSecret: 'backup' },
    );

    assert.deepEqual(
      patchOf(answer),
      replaced('/spec/ephemeralContainers/0/image', 'nginx:1.27', 'acme/nginx:1.27'),
    );
    assert.deepEqual(answer.response.warnings, [
      'ephemeral container "debug": runs the backup of nginx:1.27',
    ]);
    assert.deepEqual(answer.response.auditAnnotations, {
      'ephemeralContainers.debug': 'nginx:1.27 -> acme/nginx:1.27, copied, 1234 bytes, 56 ms',
    });
  });

  it('returns each warning of a review once, shortened and printable', () => {
    const warning = 'using\nthe backup';
    const long = `it is held ${'x'.repeat(200)}`;
    const answer = complete(both, {
      [nginx]: ready('acme/nginx:1.27', { warnings: [warning, long] }),
      [fluent]: ready('acme/fluent:3', { warnings: [warning] }),
    });

    assert.deepEqual(answer.response.warnings, [
      'using the backup',
      `it is held ${'x'.repeat(95)}… (nginx:1.27)`,
    ]);
  });

  it('writes valid audit annotation keys for any container name', () => {
    const names = ['-', 'ü', 'a/b', 'x'.repeat(200), '__proto__', '"', '\u0000'];
    const object = deployment(Object.fromEntries(names.map((name) => [name, 'nginx:1.27'])));

    const { auditAnnotations = {} } = complete(
      { object },
      { [nginx]: ready('acme/nginx:1.27') },
    ).response;

    for (const key of Object.keys(auditAnnotations)) {
      assert.match(key, /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/);
    }
    assert.equal(Object.hasOwn(auditAnnotations, 'containers.a.b'), true);
  });
});

describe('completeReview of the same manifest applied again', () => {
  const record = { 'image-cloner/original-images': '{"containers/web":"nginx:1.27"}' };
  const mine = { imagePullSecrets: [{ name: 'mine' }] };
  const stored = deployment(
    { web: 'acme/nginx:1.27' },
    { annotations: record, pod: { imagePullSecrets: [{ name: 'mine' }, { name: 'backup' }] } },
  );

  it('reuses image, annotation and pull secret of the old object when the same manifest is applied again', () => {
    const object = deployment({ web: 'nginx:1.27' }, { pod: mine });

    const answer = complete({ object, oldObject: stored }, {}, { backupPullSecret: 'backup' });

    assert.equal(answer.response.allowed, true);
    assert.equal(answer.response.auditAnnotations, undefined);
    assert.deepEqual(patchOf(answer), [
      ...replaced(firstImage, 'nginx:1.27', 'acme/nginx:1.27'),
      { op: 'add', path: '/metadata/annotations', value: record },
      { op: 'add', path: '/spec/template/spec/imagePullSecrets/-', value: { name: 'backup' } },
    ]);
  });

  it('patches neither annotation nor pull secret if the write keeps them', () => {
    const object = deployment(
      { web: 'nginx:1.27' },
      { annotations: record, pod: { imagePullSecrets: [{ name: 'backup' }] } },
    );

    const answer = complete({ object, oldObject: stored }, {}, { backupPullSecret: 'backup' });

    assert.deepEqual(patchOf(answer), replaced(firstImage, 'nginx:1.27', 'acme/nginx:1.27'));
  });

  it('appends no pull secret that the old object lacks, which would restart pods', () => {
    const answer = complete(
      {
        object: deployment({ web: 'nginx:1.27' }, { annotations: record }),
        oldObject: deployment({ web: 'acme/nginx:1.27' }, { annotations: record }),
      },
      {},
      { backupPullSecret: 'backup' },
    );

    assert.deepEqual(patchOf(answer), replaced(firstImage, 'nginx:1.27', 'acme/nginx:1.27'));
  });

  it('writes reused and new originals into one annotation', () => {
    const object = deployment({ web: 'nginx:1.27', log: 'fluent:3' }, { annotations: record });

    const answer = complete({ object, oldObject: stored }, { [fluent]: ready('acme/fluent:3') });

    assert.deepEqual(patchOf(answer), [
      ...replaced(firstImage, 'nginx:1.27', 'acme/nginx:1.27'),
      ...replaced('/spec/template/spec/containers/1/image', 'fluent:3', 'acme/fluent:3'),
      {
        op: 'add',
        path: '/metadata/annotations/image-cloner~1original-images',
        value: '{"containers/log":"fluent:3","containers/web":"nginx:1.27"}',
      },
    ]);
  });

  it('keeps the original of an unchanged image when another image changes', () => {
    const object = deployment({ web: 'acme/nginx:1.27', log: 'fluent:3' }, { annotations: record });

    const answer = complete({ object, oldObject: stored }, { [fluent]: ready('acme/fluent:3') });

    assert.deepEqual(patchOf(answer), [
      ...replaced('/spec/template/spec/containers/1/image', 'fluent:3', 'acme/fluent:3'),
      {
        op: 'add',
        path: '/metadata/annotations/image-cloner~1original-images',
        value: '{"containers/log":"fluent:3","containers/web":"nginx:1.27"}',
      },
    ]);
  });
});

describe('completeReview of images without a backup', () => {
  it('denies an image without a backup and names container, image and registry', () => {
    const { response } = complete(both, { [nginx]: gone, [fluent]: ready('acme/fluent:3') });

    assert.deepEqual(response, {
      uid,
      allowed: false,
      status: {
        code: 403,
        reason: 'Forbidden',
        message: 'container "web": nginx:1.27 does not exist on docker.io',
      },
    });
  });

  it('lists failed and pending images in one denial', () => {
    const { response } = complete(both, { [nginx]: gone, [fluent]: pending(3) });

    assert.deepEqual(response.status, {
      code: 403,
      reason: 'Forbidden',
      message:
        'container "web": nginx:1.27 does not exist on docker.io; container "log": still copying fluent:3: 43 %, 112 of 260 MiB pulled',
    });
  });

  it('admits a failed image with a warning under ON_ERROR=admit and patches the others', () => {
    const answer = complete(
      both,
      { [nginx]: gone, [fluent]: ready('acme/fluent:3') },
      { onError: 'admit' },
    );

    assert.equal(answer.response.allowed, true);
    assert.deepEqual(answer.response.warnings, [
      'not backed up: nginx:1.27 does not exist on docker.io (container "web")',
    ]);
    assert.deepEqual(patchOf(answer), [
      ...replaced('/spec/template/spec/containers/1/image', 'fluent:3', 'acme/fluent:3'),
      {
        op: 'add',
        path: '/metadata/annotations',
        value: { 'image-cloner/original-images': '{"containers/log":"fluent:3"}' },
      },
    ]);
  });

  it('keeps the reason in a warning, and has the whole sentence in the audit annotation, under ON_ERROR=admit', () => {
    const image = `quay.io/prometheus/node-exporter:v1.8.0@${D}`;
    const message = `quay.io denied access to ${image}: the image is private or does not exist`;
    const answer = complete(
      { object: deployment({ web: image }) },
      { [image]: failed('SOURCE_DENIED', message) },
      { onError: 'admit' },
    );

    assert.deepEqual(answer.response.warnings, [
      'not backed up: quay.io denied access to it: the image is private or does not exist (prometheus/node-exporter:v1.8.0)',
    ]);
    assert.deepEqual(answer.response.auditAnnotations, {
      'containers.web': `${image} -> not backed up: ${message}`,
    });
  });

  it('denies an invalid image name with 422', () => {
    const { response } = complete({ object: deployment({ web: 'Nginx' }) });

    assert.deepEqual(response.status, {
      code: 422,
      message:
        'container "web": "Nginx" is not a valid image name: the repository name must be lower case',
    });
  });

  it('blames no container for an object with too many images', () => {
    const names = Array.from({ length: 201 }, (_, i) => [`c${i}`, `app:${i}`] as const);
    const object = deployment(Object.fromEntries(names));
    const reason =
      'the object names 201 different images, and at most 200 are copied for one object: split it';

    assert.deepEqual(complete({ object }).response.status, { code: 422, message: reason });
    assert.deepEqual(complete({ object }, {}, { onError: 'admit' }).response.warnings, [
      `not backed up: ${reason}`,
    ]);
  });

  it('admits an invalid image name under ON_ERROR=admit', () => {
    const answer = complete({ object: deployment({ web: 'Nginx' }) }, {}, { onError: 'admit' });

    assert.equal(answer.response.allowed, true);
    assert.equal(patchOf(answer), undefined);
    assert.equal(answer.response.warnings?.length, 1);
  });

  for (const onError of ['deny', 'admit'] as const) {
    it(`denies a registry that SOURCE_REGISTRIES does not list under ON_ERROR=${onError} and mentions no copy`, () => {
      const object = deployment({ web: 'quay.io/x/y:1', log: 'fluent:3' });
      const { response } = complete({ object }, {}, { onError, sourceRegistries: ['docker.io'] });

      assert.deepEqual(response, {
        uid,
        allowed: false,
        status: {
          code: 403,
          reason: 'Forbidden',
          message:
            'container "web": quay.io/x/y:1 may not be used: SOURCE_REGISTRIES does not list quay.io',
        },
      });
    });
  }

  it('answers 10 000 invalid image names with a short message', { timeout: 20_000 }, () => {
    const names = Array.from({ length: 10_000 }, (_, i) => [`c${i}`, `Bad${i}`] as const);
    const object = deployment(Object.fromEntries(names));

    const denied = complete({ object });
    const admitted = complete({ object }, {}, { onError: 'admit' });

    assert((denied.response.status?.message.length ?? 0) < 3_000);
    assert.equal(admitted.response.warnings?.length, 50);
  });
});

describe('completeReview of images that are still being copied', () => {
  it('answers retry after the longest estimate of the running copies', () => {
    const { response } = complete(both, { [nginx]: pending(3), [fluent]: pending(8) });

    assert.deepEqual(response, {
      uid,
      allowed: false,
      status: {
        code: 504,
        reason: 'Timeout',
        message:
          'container "web": still copying nginx:1.27: 43 %, 112 of 260 MiB pulled; container "log": still copying fluent:3: 43 %, 112 of 260 MiB pulled',
        details: { retryAfterSeconds: 8 },
      },
    });
  });

  it('treats an image without an outcome as pending', () => {
    const { response } = complete({ object: deployment({ web: 'nginx:1.27' }) });

    assert.deepEqual(response.status, {
      code: 504,
      reason: 'Timeout',
      message: 'container "web": still copying nginx:1.27',
      details: { retryAfterSeconds: 1 },
    });
  });

  for (const username of [
    'system:kube-controller-manager',
    'system:serviceaccount:kube-system:job-controller',
    'system:serviceaccount:knative-serving:controller',
  ]) {
    it(`answers ${username} with 403, on which client-go does not sleep`, () => {
      const { response } = complete(
        { ...both, username },
        { [nginx]: pending(3), [fluent]: ready('acme/fluent:3') },
      );

      assert.deepEqual(response.status, {
        code: 403,
        reason: 'Forbidden',
        message: 'container "web": still copying nginx:1.27: 43 %, 112 of 260 MiB pulled',
      });
    });
  }

  it('admits a pending image unchanged with a warning under ON_DEADLINE=admit', () => {
    const answer = complete(
      { object: deployment({ web: 'nginx:1.27' }) },
      { [nginx]: pending(3) },
      { onDeadline: 'admit' },
    );

    assert.equal(answer.response.allowed, true);
    assert.equal(patchOf(answer), undefined);
    assert.deepEqual(answer.response.warnings, [
      'original image used until it changes or "just backfill" runs: still copying it: 43 %, 112 of 260 MiB pulled (nginx:1.27)',
    ]);
  });

  it('answers retry for a pending image although a failed one is admitted', () => {
    const { response } = complete(
      both,
      { [nginx]: gone, [fluent]: pending(2) },
      { onError: 'admit' },
    );

    assert.equal(response.status?.code, 504);
    assert.equal(
      response.status?.message,
      'container "log": still copying fluent:3: 43 %, 112 of 260 MiB pulled',
    );
  });
});

describe('completeReview of a clone-only object', () => {
  const ownerReferences = [{ apiVersion: 'cnpg.io/v1', kind: 'Cluster', controller: true }];
  const object = deployment({ web: 'nginx:1.27' }, { ownerReferences });
  const warning = 'images are copied, but this object is left as it is: Cluster controls it';

  for (const [name, outcome] of Object.entries({
    ready: ready('acme/nginx:1.27'),
    gone: gone,
    'still being copied': pending(3),
  })) {
    it(`allows a clone-only object without a patch when its image is ${name}`, () => {
      const { response } = complete({ object }, { [nginx]: outcome });

      assert.deepEqual(response, { uid, allowed: true, warnings: [warning] });
    });
  }

  it('denies a clone-only object whose registry is not listed', () => {
    const { response } = complete({ object }, {}, { sourceRegistries: ['quay.io'] });

    assert.equal(response.status?.code, 403);
  });
});
