import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parsePodMetrics } from '../../../../functions/deploy/status/pod-metrics.ts';
import { createMetrics } from '../../../../lib/adapters/metrics.ts';

describe('parsePodMetrics', () => {
  it('reads the last review and the backup state from the metrics of the webhook', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_800_000_000_500 });
    const metrics = createMetrics({ adapter: 'x', copies: () => ({ running: 0, waiting: 0 }) });
    assert.deepEqual(parsePodMetrics(await metrics.render()), { isBackupUp: true });

    metrics.reviewed({ kind: 'Pod', operation: 'CREATE', verdict: 'patched', seconds: 1 });
    metrics.backupAnswered(false);

    assert.deepEqual(parsePodMetrics(await metrics.render()), {
      lastReviewMs: 1_800_000_000_500,
      isBackupUp: false,
    });
  });

  it('reads nothing from a page without metrics', () => {
    assert.deepEqual(parsePodMetrics('<html>'), { isBackupUp: true });
  });
});
