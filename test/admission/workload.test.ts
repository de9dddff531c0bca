import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseReview } from '../../lib/admission/review.ts';
import {
  isEphemeral,
  isWorkload,
  parseWorkload,
  type Workload,
} from '../../lib/admission/workload.ts';
import { deployment, type ReviewOptions, review } from '../support/reviews.ts';

function read(options: ReviewOptions): Workload {
  return parseWorkload(parseReview(review(options)), 'object');
}

const pod = {
  metadata: { labels: { app: 'web', 'image-cloner': 'enabled' } },
  spec: {
    containers: [
      { name: 'web', image: 'nginx:1' },
      { name: 'log', image: 'fluent' },
    ],
    initContainers: [{ name: 'init', image: 'busybox' }],
    ephemeralContainers: [{ name: 'debug', image: 'alpine' }],
    volumes: [
      { name: 'data', emptyDir: {} },
      { name: 'model', image: { reference: 'quay.io/models/llm:1', pullPolicy: 'Always' } },
    ],
  },
};

/** Kind → the object that contains the pod, and the path of the pod spec in it. */
const kinds: readonly (readonly [kind: string, object: unknown, podSpec: string])[] = [
  ['/Pod', pod, '/spec'],
  ['apps/Deployment', { spec: { template: pod } }, '/spec/template/spec'],
  ['apps/DaemonSet', { spec: { template: pod } }, '/spec/template/spec'],
  ['apps/StatefulSet', { spec: { template: pod } }, '/spec/template/spec'],
  ['apps/ReplicaSet', { spec: { template: pod } }, '/spec/template/spec'],
  ['/ReplicationController', { spec: { template: pod } }, '/spec/template/spec'],
  ['batch/Job', { spec: { template: pod } }, '/spec/template/spec'],
  [
    'batch/CronJob',
    { spec: { jobTemplate: { spec: { template: pod } } } },
    '/spec/jobTemplate/spec/template/spec',
  ],
  ['/PodTemplate', { template: pod }, '/template/spec'],
  ['serving.knative.dev/Service', { spec: { template: pod } }, '/spec/template/spec'],
  ['serving.knative.dev/Configuration', { spec: { template: pod } }, '/spec/template/spec'],
];

describe('parseWorkload', () => {
  for (const [kind, object, podSpec] of kinds) {
    it(`finds every image of a ${kind} in a review`, () => {
      const { places, podSpec: actual, templateLabels } = read({ kind, object });

      assert.equal(actual, podSpec);
      assert.deepEqual([...templateLabels], [['image-cloner', 'enabled']]);
      assert.deepEqual(
        places.map(({ pointer, label, id, image }) => [pointer, label, id, image]),
        [
          [`${podSpec}/containers/0/image`, 'container "web"', 'containers/web', 'nginx:1'],
          [`${podSpec}/containers/1/image`, 'container "log"', 'containers/log', 'fluent'],
          [
            `${podSpec}/initContainers/0/image`,
            'init container "init"',
            'initContainers/init',
            'busybox',
          ],
          [
            `${podSpec}/ephemeralContainers/0/image`,
            'ephemeral container "debug"',
            'ephemeralContainers/debug',
            'alpine',
          ],
          [
            `${podSpec}/volumes/1/image/reference`,
            'volume "model"',
            'volumes/model',
            'quay.io/models/llm:1',
          ],
        ],
      );
    });
  }

  it('identifies containers without a name by their position', () => {
    const spec = {
      containers: [{ image: 'a' }, { name: '', image: 'b' }, { name: null, image: 'c' }],
    };

    const { places } = read({
      kind: 'serving.knative.dev/Service',
      object: { spec: { template: { spec } } },
    });

    assert.deepEqual(
      places.map(({ label, id }) => [label, id]),
      [
        ['containers[0]', 'containers[0]'],
        ['containers[1]', 'containers[1]'],
        ['containers[2]', 'containers[2]'],
      ],
    );
  });

  it('skips containers without an image', () => {
    const spec = {
      containers: [{ name: 'a' }, { name: 'b', image: '' }, { name: 'c', image: null }],
    };

    assert.deepEqual(read({ kind: '/Pod', object: { spec } }).places, []);
  });

  it('marks images with the pull policy Never', () => {
    const spec = {
      containers: [
        { name: 'a', image: 'x', imagePullPolicy: 'Never' },
        { name: 'b', image: 'x', imagePullPolicy: 'IfNotPresent' },
      ],
      volumes: [{ name: 'v', image: { reference: 'y', pullPolicy: 'Never' } }],
    };

    assert.deepEqual(
      read({ kind: '/Pod', object: { spec } }).places.map(({ neverPulled }) => neverPulled),
      [true, false, true],
    );
  });

  const controllers: readonly (readonly [name: string, owners: unknown, expected: unknown])[] = [
    ['none', [], undefined],
    ['null', null, undefined],
    ['an owner that does not control', [{ apiVersion: 'v1', kind: 'Node' }], undefined],
    [
      'the one of several that controls',
      [
        { apiVersion: 'v1', kind: 'Node', controller: false },
        { apiVersion: 'apps/v1', kind: 'ReplicaSet', controller: true },
      ],
      { group: 'apps', kind: 'ReplicaSet' },
    ],
    [
      'one of the core group',
      [{ apiVersion: 'v1', kind: 'ReplicationController', controller: true }],
      { group: '', kind: 'ReplicationController' },
    ],
  ];
  for (const [name, ownerReferences, expected] of controllers) {
    it(`reads the controller from ownerReferences: ${name}`, () => {
      assert.deepEqual(read({ object: { metadata: { ownerReferences } } }).controller, expected);
    });
  }

  const parents = [
    ['object', {}],
    ['object', { metadata: null }],
    ['metadata', { metadata: {} }],
    ['metadata', { metadata: { annotations: null } }],
    ['annotations', { metadata: { annotations: {} } }],
  ] as const;
  for (const [expected, object] of parents) {
    it(`reports ${expected} as the annotation parent of ${JSON.stringify(object)}`, () => {
      assert.equal(read({ object }).annotationParent, expected);
    });
  }

  const secrets: readonly (readonly [value: unknown, expected: readonly string[] | undefined])[] = [
    [undefined, undefined],
    [null, undefined],
    [[], []],
    [
      [{ name: 'a' }, {}, { name: null }],
      ['a', '', ''],
    ],
  ];
  for (const [imagePullSecrets, expected] of secrets) {
    it(`reads imagePullSecrets ${JSON.stringify(imagePullSecrets)}`, () => {
      const object = { spec: { imagePullSecrets } };

      assert.deepEqual(read({ kind: '/Pod', object }).pullSecrets, expected);
    });
  }

  const empty = [
    {},
    { spec: null },
    { spec: {} },
    { spec: { template: null } },
    { spec: { template: { spec: null } } },
  ];
  for (const object of empty) {
    it(`finds no image in ${JSON.stringify(object)}`, () => {
      assert.deepEqual(read({ object }).places, []);
    });
  }

  const malformed: readonly (readonly [object: unknown, problem: string])[] = [
    [null, 'request.object is not an object'],
    [[], 'request.object is not an object'],
    ['x', 'request.object is not an object'],
    [{ metadata: 'x' }, 'request.object.metadata is not an object'],
    [{ metadata: { labels: [] } }, 'request.object.metadata.labels is not an object'],
    [
      { metadata: { annotations: { a: 1 } } },
      'request.object.metadata.annotations.a is not a string',
    ],
    [
      { metadata: { ownerReferences: {} } },
      'request.object.metadata.ownerReferences is not a list',
    ],
    [
      { metadata: { ownerReferences: [{ kind: 'X' }] } },
      'request.object.metadata.ownerReferences.0.apiVersion is missing',
    ],
    [{ spec: 'x' }, 'request.object.spec.template is not an object'],
    [{ spec: { template: [] } }, 'request.object.spec.template is not an object'],
    [{ spec: { template: { spec: 1 } } }, 'request.object.spec.template.spec is not an object'],
    [
      { spec: { template: { spec: { containers: {} } } } },
      'request.object.spec.template.spec.containers is not a list',
    ],
    [
      { spec: { template: { spec: { containers: [null] } } } },
      'request.object.spec.template.spec.containers.0 is not an object',
    ],
    [
      { spec: { template: { spec: { initContainers: [{ image: {} }] } } } },
      'request.object.spec.template.spec.initContainers.0.image is not a string',
    ],
    [
      { spec: { template: { spec: { volumes: [{ image: 'x' }] } } } },
      'request.object.spec.template.spec.volumes.0.image is not an object',
    ],
    [
      { spec: { template: { spec: { imagePullSecrets: ['a'] } } } },
      'request.object.spec.template.spec.imagePullSecrets.0 is not an object',
    ],
  ];
  for (const [object, problem] of malformed) {
    it(`rejects ${JSON.stringify(object)} and names the invalid field`, () => {
      assert.throws(() => read({ object }), {
        name: 'CloneError',
        code: 'INVALID_REVIEW',
        message: `not an AdmissionReview: ${problem}`,
      });
    });
  }

  it('keeps only the labels and annotations that image-cloner reads', () => {
    const ours = {
      'image-cloner': 'a',
      'image-cloner/backfill': 'b',
      'kubernetes.io/config.mirror': 'c',
      'serving.knative.dev/service': 'd',
    };
    const others = { 'image-cloners': 'e', 'kubernetes.io/config.hash': 'f', app: 'g' };
    const all = { ...ours, ...others };

    const { labels, annotations, templateLabels } = read({
      object: {
        metadata: { labels: all, annotations: all },
        spec: { template: { metadata: { labels: all } } },
      },
    });

    for (const actual of [labels, annotations, templateLabels]) {
      assert.deepEqual(Object.fromEntries(actual), ours);
    }
  });

  it('ignores a label named __proto__ without prototype pollution', () => {
    const object: unknown = JSON.parse(
      '{"__proto__":{"spec":{}},"metadata":{"labels":{"__proto__":"x","image-cloner":"b"}},"spec":{"__proto__":{"template":{"spec":{"containers":[{"name":"evil","image":"evil"}]}}}}}',
    );

    const { labels, places } = read({ object });

    assert.deepEqual([...labels], [['image-cloner', 'b']]);
    assert.deepEqual(places, []);
    assert.equal(Reflect.get({}, 'spec'), undefined);
  });

  it('shortens, quotes and escapes a hostile container name', () => {
    const name = `\u0000\ud800"\n${'x'.repeat(1_000)}`;

    const [first] = read({ object: deployment({ [name]: 'nginx' }) }).places;

    assert.equal(first?.label, String.raw`container "\u0000\ud800\"\n${'x'.repeat(59)}…"`);
  });
});

describe('isWorkload', () => {
  const cases: readonly (readonly [kind: string, subResource: string, expected: boolean])[] = [
    ...kinds.map(([kind]) => [kind, '', true] as const),
    ['/Pod', 'ephemeralcontainers', true],
    ['/Pod', 'status', false],
    ['/Pod', 'exec', false],
    ['apps/Deployment', 'scale', false],
    ['apps/Deployment', 'status', false],
    ['apps/Deployment', 'ephemeralcontainers', false],
    ['/Service', '', false],
    ['/ConfigMap', '', false],
    ['argoproj.io/Rollout', '', false],
    ['evil/Deployment', '', false],
    ['/Deployment', '', false],
    ['apps/Pod', '', false],
    ['serving.knative.dev/Revision', '', false],
    ['autoscaling/Scale', 'scale', false],
    ['__proto__/constructor', '', false],
  ];
  for (const [name, subResource, expected] of cases) {
    it(`is ${expected} for the kind ${name}${subResource && `/${subResource}`}`, () => {
      const [group = '', kind = ''] = name.split('/');

      assert.equal(isWorkload({ kind: { group, kind }, subResource }), expected);
    });
  }
});

describe('isEphemeral', () => {
  it('isEphemeral accepts pods/ephemeralcontainers only', () => {
    const kind = { group: '', kind: 'Pod' };

    assert.equal(isEphemeral({ kind, subResource: 'ephemeralcontainers' }), true);
    assert.equal(isEphemeral({ kind, subResource: '' }), false);
  });
});
