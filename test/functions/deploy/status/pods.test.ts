import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseItems, podObject } from '../../../../functions/deploy/objects.ts';
import { describePods, parsePodMetrics } from '../../../../functions/deploy/status/pods.ts';
import { createMetrics } from '../../../../lib/adapters/metrics.ts';

const ready = { metadata: {}, status: { phase: 'Running', containerStatuses: [{ ready: true }] } };
const crashing = {
  metadata: {},
  status: {
    phase: 'Running',
    containerStatuses: [
      { ready: false, state: { running: {} } },
      { ready: false, state: { waiting: { reason: 'CrashLoopBackOff' } } },
    ],
  },
};
const starting = { metadata: {}, status: { phase: 'Pending' } };

describe('describePods', () => {
  const cases = [
    { what: 'a ready pod', items: [ready], isGood: true, text: '1 of 1 ready' },
    {
      what: 'a crashing pod',
      items: [crashing],
      isGood: false,
      text: '0 of 1 ready, CrashLoopBackOff',
    },
    {
      what: 'a crashing pod beside a ready one',
      items: [ready, crashing],
      isGood: true,
      text: '1 of 2 ready, CrashLoopBackOff',
    },
    { what: 'a starting pod', items: [starting], isGood: false, text: '0 of 1 ready' },
    { what: 'no pod', items: [], isGood: false, text: 'none, but MIN_SCALE is 2' },
  ];
  for (const { what, items, isGood, text } of cases) {
    it(`describes ${what}`, () => {
      assert.deepEqual(describePods(parseItems(podObject, { items }), 2), { isGood, text });
    });
  }

  it('describes no pod with MIN_SCALE=0 as scaled to zero', () => {
    assert.deepEqual(describePods([], 0), { isGood: true, text: 'none (scaled to zero)' });
  });
});

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
