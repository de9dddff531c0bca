import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { describeUnlisted } from '../../../../functions/deploy/preflight/node-platforms.ts';

const nodes = [
  { node: 'a', platform: 'linux/amd64' },
  { node: 'b', platform: 'linux/arm64' },
  { node: 'c', platform: 'linux/arm64' },
  { node: 'd', platform: 'windows/amd64' },
];

describe('describeUnlisted', () => {
  it('names each platform of a node that PLATFORMS does not list', () => {
    assert.deepEqual(describeUnlisted(nodes, ['linux/amd64']), [
      'PLATFORMS does not list linux/arm64, the platform of the node b and 1 more: pods there cannot run the copies of images with several platforms; add linux/arm64',
      'PLATFORMS does not list windows/amd64, the platform of the node d: pods there cannot run the copies of images with several platforms; add windows/amd64',
    ]);
  });

  it('is silent about nodes whose platform PLATFORMS lists in any variant', () => {
    const platforms = ['linux/amd64', 'linux/arm64/v8', 'windows/amd64'];

    assert.deepEqual(describeUnlisted(nodes, platforms), []);
  });
});
