import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatVerification } from '../../../functions/verify/format-verification.ts';
import { storedWorkload } from '../../support/fake-store.ts';

function of(name: string): ReturnType<typeof storedWorkload> {
  return storedWorkload('deployments', { metadata: { name, namespace: 'shop' } });
}

const image = { label: 'container "main"', image: 'acme/nginx:1' };

describe('formatVerification', () => {
  it('lists each image once, then one sentence and what to type', () => {
    const lines = formatVerification({
      images: [
        { ...image, stored: of('old'), state: 'absent', what: 'not there' },
        { ...image, stored: of('a'), state: 'denied', what: 'no secret', source: 'gone' },
        { ...image, stored: of('b'), state: 'whole', what: 'whole', source: 'same' },
        { ...image, stored: of('c'), state: 'whole', what: 'whole', source: 'same' },
      ],
      workloads: { starts: 2, fails: 2, unknown: 0, skipped: 1 },
      problems: [],
    });

    assert.deepEqual(lines, [
      'IMAGE         WORKLOADS                             BACKUP     SOURCE',
      'acme/nginx:1  shop deployment/old                   not there  -',
      'acme/nginx:1  shop deployment/a                     no secret  gone',
      'acme/nginx:1  shop deployment/b, shop deployment/c  whole      same',
      '2 of 4 workloads would start if every public registry were gone; 2 would not; 1 more skipped',
      'to copy what is missing: image-cloner backfill --refresh --apply',
      'for a pull secret: image-cloner pull-secret NAMESPACE',
    ]);
  });

  it('says why something was not checked before the sentence', () => {
    const lines = formatVerification({
      images: [],
      workloads: { starts: 0, fails: 0, unknown: 1, skipped: 0 },
      problems: ['the backup registry cannot be reached'],
    });

    assert.deepEqual(lines, [
      'the backup registry cannot be reached',
      '0 of 1 workload would start if every public registry were gone; 1 could not be checked',
    ]);
  });
});
