import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assess, isRewritable } from '../../lib/fleet/assess.ts';
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
  it('assesses what the webhook would rewrite, ignore and refuse, place by place', () => {
    const assessed = assess(
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
      assessed.places.map(({ place, ...rest }) => [
        place.id,
        rest.state,
        'reason' in rest ? rest.reason : '',
      ]),
      [
        ['containers/web', 'rewritable', ''],
        ['containers/moved', 'rewritten', ''],
        ['containers/ours', 'ignored', 'IGNORE_IMAGES has quay.io/internal/**'],
        [
          'containers/typo',
          'refused',
          '"NGINX" is not a valid image name: the repository name must be lower case',
        ],
        ['containers/local', 'ignored', 'imagePullPolicy is Never'],
        ['initContainers/setup', 'rewritable', ''],
      ],
    );
    assert.equal(assessed.skipped, undefined);
    assert.equal(isRewritable(assessed), true);
  });

  const owner = (apiVersion: string, kind: string): object => ({
    ownerReferences: [{ apiVersion, kind, controller: true }],
  });
  const nginx = { containers: [{ name: 'web', image: 'nginx' }] };
  const skipped = [
    {
      name: 'a ReplicaSet of a Deployment',
      stored: workload('replicasets', nginx, owner('apps/v1', 'Deployment')),
      reason: 'Deployment controls it',
    },
    {
      name: 'a Pod of a ReplicaSet, although the webhook rewrites such Pods',
      stored: workload('pods', nginx, owner('apps/v1', 'ReplicaSet')),
      reason: 'ReplicaSet controls it',
    },
    {
      name: 'a Pod without a controller',
      stored: workload('pods', nginx),
      reason: 'a running pod is not changed',
    },
    {
      name: 'a Job',
      stored: workload('jobs', nginx),
      reason: 'the template of a Job is immutable',
    },
    {
      name: 'an object that is opted out',
      stored: workload('deployments', nginx, { labels: { 'image-cloner': 'disabled' } }),
      reason: 'it is labelled image-cloner: disabled',
    },
    {
      name: 'an object in an excluded namespace',
      stored: workload('deployments', nginx, { namespace: 'kube-system' }),
      reason: 'it or its namespace kube-system is excluded',
    },
  ];
  for (const { name, stored, reason } of skipped) {
    it(`a backfill skips ${name} and reports why`, () => {
      const assessed = assess(stored, policy({ excludedNamespaces: ['kube-system'] }), stamp);

      assert.equal(assessed.skipped, reason);
      assert.equal(isRewritable(assessed), false);
    });
  }

  it('a backfill report does not change the stored workload', () => {
    const given = workload('deployments', nginx);
    const before = structuredClone(given);

    assess(given, policy(), stamp);

    assert.deepEqual(given, before);
  });
});

describe('withOriginals', () => {
  it('puts back recorded original images that belong to the backups in the object', () => {
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
