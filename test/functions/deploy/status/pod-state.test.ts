import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { describePods } from '../../../../functions/deploy/status/pod-state.ts';

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
const leaving = { ...crashing, metadata: { deletionTimestamp: '2026-11-25T00:00:00Z' } };
const starting = { metadata: {}, status: { phase: 'Pending' } };

describe('describePods', () => {
  const cases = [
    { what: 'one that answers', items: [ready], isGood: true, says: '1 of 1 ready' },
    {
      what: 'one that crashes',
      items: [crashing],
      isGood: false,
      says: '0 of 1 ready, CrashLoopBackOff',
    },
    {
      what: 'one of two that crashes',
      items: [ready, crashing],
      isGood: true,
      says: '1 of 2 ready, CrashLoopBackOff',
    },
    { what: 'one that is going', items: [ready, leaving], isGood: true, says: '1 of 1 ready' },
    { what: 'one that starts', items: [starting], isGood: false, says: '0 of 1 ready' },
    { what: 'none', items: [], isGood: true, says: 'none runs, as when it is scaled to zero' },
  ];
  for (const { what, items, isGood, says } of cases) {
    it(`tells of ${what}`, () => {
      assert.deepEqual(describePods({ items }), { isGood, says });
    });
  }
});
