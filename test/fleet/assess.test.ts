import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assess, isOpen } from '../../lib/fleet/assess.ts';
import { withOriginals } from '../../lib/fleet/originals.ts';
import { parseImagePattern } from '../../lib/image/pattern.ts';
import { storedWorkload } from '../support/fake-store.ts';
import { policy } from '../support/reviews.ts';

const stamp = '2026-11-25T03:00:00.000Z';

function workload(
  workload: string,
  spec: object,
  metadata: object = {},
): ReturnType<typeof storedWorkload> {
  const pod = workload === 'pods' ? { spec } : { spec: { template: { spec } } };
  return storedWorkload(workload, {
    metadata: { name: 'web', namespace: 'shop', ...metadata },
    ...pod,
  });
}

describe('assess', () => {
  it('finds what the webhook would copy, leave alone and refuse, place by place', () => {
    const found = assess(
      workload('deployments', {
        initContainers: [{ name: 'setup', image: 'busybox' }],
        containers: [
          { name: 'web', image: 'nginx:1.27' },
          { name: 'moved', image: 'acme/redis:7' },
          { name: 'ours', image: 'quay.io/internal/app:1' },
          { name: 'typo', image: 'NGINX' },
          { name: 'local', image: 'local', imagePullPolicy: 'Never' },
        ],
      }),
      policy({ ignoreImages: [parseImagePattern('quay.io/internal/**')] }),
      stamp,
    );

    assert.deepEqual(
      found.findings.map(({ place, ...rest }) => [
        place.id,
        rest.state,
        'reason' in rest ? rest.reason : '',
      ]),
      [
        ['containers/web', 'wanted', ''],
        ['containers/moved', 'rewritten', ''],
        ['containers/ours', 'ignored', 'left alone, IGNORE_IMAGES has quay.io/internal/**'],
        [
          'containers/typo',
          'refused',
          '"NGINX" is not a valid image name: the repository name must be lower case',
        ],
        ['containers/local', 'ignored', 'imagePullPolicy Never, so its image is left alone'],
        ['initContainers/setup', 'wanted', ''],
      ],
    );
    assert.equal(found.left, undefined);
    assert.equal(isOpen(found), true);
  });

  const owner = (apiVersion: string, kind: string): object => ({
    ownerReferences: [{ apiVersion, kind, controller: true }],
  });
  const nginx = { containers: [{ name: 'web', image: 'nginx' }] };
  const left = [
    {
      name: 'a ReplicaSet of a Deployment',
      stored: workload('replicasets', nginx, owner('apps/v1', 'Deployment')),
      reason: 'Deployment controls it',
    },
    {
      name: 'a Pod of a ReplicaSet, which a review would rewrite',
      stored: workload('pods', nginx, owner('apps/v1', 'ReplicaSet')),
      reason: 'ReplicaSet controls it',
    },
    {
      name: 'a Pod that somebody made',
      stored: workload('pods', nginx),
      reason: 'a pod that runs is not changed',
    },
    {
      name: 'a Job',
      stored: workload('jobs', nginx),
      reason: "a Job's template cannot be changed",
    },
    {
      name: 'what is opted out',
      stored: workload('deployments', nginx, { labels: { 'image-cloner': 'disabled' } }),
      reason: 'it is labelled image-cloner: disabled',
    },
    {
      name: 'what is in a namespace that we need',
      stored: workload('deployments', nginx, { namespace: 'kube-system' }),
      reason: 'image-cloner keeps out of it, or of the namespace kube-system',
    },
  ];
  for (const { name, stored, reason } of left) {
    it(`leaves ${name}`, () => {
      const found = assess(stored, policy({ excludedNamespaces: ['kube-system'] }), stamp);

      assert.equal(found.left, reason);
      assert.equal(isOpen(found), false);
    });
  }

  it('does not change what it was given', () => {
    const given = workload('deployments', nginx);
    const before = structuredClone(given);

    assess(given, policy(), stamp);

    assert.deepEqual(given, before);
  });
});

describe('withOriginals', () => {
  it('puts back what the annotation says, where that is what the object holds a copy of', () => {
    const given = workload(
      'deployments',
      {
        containers: [
          { name: 'web', image: 'acme/nginx:1.27', args: ['-v'] },
          { name: 'forged', image: 'acme/redis:7' },
          { name: 'unknown', image: 'acme/mysql:8' },
        ],
      },
      {
        annotations: {
          'image-cloner/original-images': JSON.stringify({
            'containers/web': 'nginx:1.27',
            'containers/forged': 'evil.example/redis:7',
          }),
        },
      },
    );

    const { object } = withOriginals(given, policy().backup);

    assert.deepEqual(object, {
      ...Object(given.object),
      spec: {
        template: {
          spec: {
            containers: [
              { name: 'web', image: 'nginx:1.27', args: ['-v'] },
              { name: 'forged', image: 'acme/redis:7' },
              { name: 'unknown', image: 'acme/mysql:8' },
            ],
          },
        },
      },
    });
  });
});
