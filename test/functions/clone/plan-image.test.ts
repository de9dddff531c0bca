import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseImageList, planImage } from '../../../functions/clone/plan-image.ts';
import { parseImagePattern } from '../../../lib/image/pattern.ts';
import { policy } from '../../support/reviews.ts';

describe('parseImageList', () => {
  it('reads image names from lines and words and ignores comments', () => {
    assert.deepEqual(
      parseImageList('# base images\nnginx:1.27  redis\n\n\tquay.io/a/b # ours\r\n'),
      ['nginx:1.27', 'redis', 'quay.io/a/b'],
    );
  });
});

describe('planImage', () => {
  const cases = [
    {
      name: 'nginx',
      expected: {
        state: 'copy',
        name: 'nginx',
        source: { domain: 'docker.io', path: 'library/nginx' },
        backup: { domain: 'docker.io', path: 'acme/nginx', tag: 'latest' },
      },
    },
    {
      name: 'acme/nginx:1.27',
      expected: {
        state: 'ignored',
        name: 'acme/nginx:1.27',
        reason: 'it is in the backup already',
      },
    },
    {
      name: 'quay.io/internal/app:1',
      expected: {
        state: 'ignored',
        name: 'quay.io/internal/app:1',
        reason: 'IGNORE_IMAGES has quay.io/internal/**',
      },
    },
    {
      name: 'ghcr.io/x/y',
      expected: {
        state: 'refused',
        name: 'ghcr.io/x/y',
        reason: 'ghcr.io/x/y may not be used: SOURCE_REGISTRIES does not list ghcr.io',
      },
    },
  ];
  for (const { name, expected } of cases) {
    it(`plans ${name} like the webhook`, () => {
      const plan = planImage(
        name,
        policy({
          ignoreImages: [parseImagePattern('quay.io/internal/**')],
          sourceRegistries: ['docker.io', 'quay.io'],
        }),
      );

      assert.deepEqual(plan, expected);
    });
  }
});
