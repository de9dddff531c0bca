import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatReport } from '../../../functions/shared/fleet.ts';

const row = {
  namespace: 'shop',
  object: 'Deployment/web',
  container: 'web',
  image: 'nginx:1.27',
  what: 'would be copied',
};

describe('formatReport', () => {
  it('ends a report on workloads with a summary and the command that changes them', () => {
    const done = { ...row, container: 'log', image: 'acme/log:1', what: 'already rewritten' };

    assert.deepEqual(formatReport([row, done], 'image-cloner backfill --apply shop'), [
      'NAMESPACE  OBJECT          CONTAINER  IMAGE       STATUS',
      'shop       Deployment/web  web        nginx:1.27  would be copied',
      'shop       Deployment/web  log        acme/log:1  already rewritten',
      '2 images of 1 object, 1 to change: image-cloner backfill --apply shop',
    ]);
  });

  it('names no command where a report has nothing to change', () => {
    const done = { ...row, what: 'already rewritten' };

    assert.equal(
      formatReport([done], 'image-cloner backfill --apply').at(-1),
      '1 image of 1 object, 0 to change',
    );
  });
});
