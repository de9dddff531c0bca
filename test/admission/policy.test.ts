import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Override, overridePolicy } from '../../lib/admission/policy.ts';
import { policy } from '../support/reviews.ts';

const both: readonly Override[] = ['ON_ERROR', 'ON_DEADLINE'];

function override(
  annotations: Readonly<Record<string, string>>,
  allowed = both,
): ReturnType<typeof overridePolicy> {
  const options = { namespace: 'shop', annotations: new Map(Object.entries(annotations)), allowed };
  return overridePolicy(policy(), options);
}

describe('overridePolicy', () => {
  it('keeps the policy of a namespace without override annotations', () => {
    assert.deepEqual(override({ team: 'a' }), {
      policy: policy({ overriddenBy: {} }),
      warnings: [],
    });
  });

  it('applies the annotations that NAMESPACE_OVERRIDES lists', () => {
    const { policy: own, warnings } = override({
      'image-cloner/on-error': 'admit',
      'image-cloner/on-deadline': 'admit',
    });

    assert.deepEqual(
      own,
      policy({
        onError: 'admit',
        onDeadline: 'admit',
        overriddenBy: {
          onError: 'namespace shop has image-cloner/on-error: admit',
          onDeadline: 'namespace shop has image-cloner/on-deadline: admit',
        },
      }),
    );
    assert.deepEqual(warnings, []);
  });

  it('ignores an annotation that NAMESPACE_OVERRIDES does not list, with a warning', () => {
    const { policy: own, warnings } = override({ 'image-cloner/on-error': 'admit' }, [
      'ON_DEADLINE',
    ]);

    assert.equal(own.onError, 'deny');
    assert.deepEqual(warnings, [
      'image-cloner/on-error: NAMESPACE_OVERRIDES does not list ON_ERROR, so ON_ERROR=deny applies',
    ]);
  });

  for (const value of ['', 'Admit', 'retry', 'admit ', 'admit\nx', 'constructor']) {
    it(`ignores the invalid on-error value ${JSON.stringify(value)}`, () => {
      const { policy: own, warnings } = override({ 'image-cloner/on-error': value });

      assert.equal(own.onError, 'deny');
      assert.deepEqual(warnings, [
        'image-cloner/on-error must be deny or admit, so ON_ERROR=deny applies',
      ]);
    });
  }

  it('does not override SOURCE_REGISTRIES by a namespace annotation', () => {
    const annotations = new Map([['image-cloner/source-registries', 'evil.test']]);
    const strict = policy({ sourceRegistries: ['docker.io'] });

    const own = overridePolicy(strict, { namespace: 'shop', annotations, allowed: both });

    assert.deepEqual(own.policy.sourceRegistries, ['docker.io']);
  });
});
