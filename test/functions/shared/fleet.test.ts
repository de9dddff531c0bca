import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatReport } from '../../../functions/shared/fleet.ts';
import type { ReportRow } from '../../../lib/fleet/report.ts';

const row: ReportRow = {
  namespace: 'shop',
  object: 'deployment/web',
  container: 'web',
  image: 'nginx:1.27',
  effect: 'change',
  what: 'would be copied',
};
const done: ReportRow = { ...row, image: 'acme/log:1', effect: 'none', what: 'already rewritten' };

describe('formatReport', () => {
  it('ends a report on workloads with a summary and the command that changes them', () => {
    assert.deepEqual(formatReport([row, done], 'image-cloner backfill --apply shop'), [
      'IMAGE       WORKLOADS            STATUS',
      'nginx:1.27  shop deployment/web  would be copied',
      'acme/log:1  shop deployment/web  already rewritten',
      '2 images of 1 workload: 1 to change: image-cloner backfill --apply shop',
    ]);
  });

  it('lists each image once, with its first workloads', () => {
    const rows = ['a', 'b', 'c', 'd', 'e'].map((name) => ({
      ...row,
      object: `deployment/${name}`,
    }));

    assert.deepEqual(formatReport(rows, 'go').slice(1), [
      'nginx:1.27  shop deployment/a, shop deployment/b, shop deployment/c and 2 more  would be copied',
      '5 images of 5 workloads: 5 to change: go',
    ]);
  });

  it('only counts images that were not checked', () => {
    const unknown: ReportRow = { ...row, effect: 'unknown', what: 'not checked' };

    assert.deepEqual(formatReport([unknown, { ...unknown, object: 'deployment/b' }], 'go'), [
      '2 images of 2 workloads: 0 to change, 2 not checked',
    ]);
  });

  it('names no command where a report has nothing to change', () => {
    const refused: ReportRow = { ...row, effect: 'problem', what: 'refused: it does not exist' };

    assert.equal(
      formatReport([done, refused], 'image-cloner backfill --apply').at(-1),
      '2 images of 1 workload: 0 to change, 1 refused',
    );
  });
});
