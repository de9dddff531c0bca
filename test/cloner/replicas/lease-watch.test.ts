import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createLeaseWatch, type LeaseWatch } from '../../../lib/cloner/replicas/lease-watch.ts';
import { createFakeClock, type FakeClock } from '../../support/fake-clock.ts';
import { createMemoryLeases, type MemoryLeases } from '../../support/memory-leases.ts';

const target = 'backup.test/acme/nginx:1.27';

function createFixture(): {
  readonly leases: MemoryLeases;
  readonly clock: FakeClock;
  readonly watch: LeaseWatch;
} {
  const leases = createMemoryLeases();
  const clock = createFakeClock();
  const sourceDigest = 'sha256:a';
  const reading = { elapsedMs: 0, idleMs: 0 };
  leases.put({ target, holder: 'b', sourceDigest, reading, version: '1' });
  return { leases, clock, watch: createLeaseWatch({ store: leases.store, clock }) };
}

describe('createLeaseWatch', () => {
  it('a lease watch has no lease and is not fresh before its first refresh', async () => {
    const { watch } = createFixture();
    assert.deepEqual([watch.get(target), watch.isFresh()], [undefined, false]);

    await watch.refresh();

    assert.equal(watch.get(target)?.holder, 'b');
    assert.equal(watch.isFresh(), true);
  });

  it('does not count time without a refresh as the expiry of a lease', async () => {
    const { watch, clock } = createFixture();
    await watch.refresh();

    await clock.advance(100_000);

    assert.equal(watch.get(target)?.isExpired, false);
    assert.equal(watch.isFresh(), false);
    await watch.refresh();
    assert.equal(watch.get(target)?.isExpired, true);
  });

  it('measures the age of a lease from its last observed change', async () => {
    const { watch, clock, leases } = createFixture();
    await watch.refresh();
    await clock.advance(14_000);
    const stored = leases.at(target);
    if (stored !== undefined) leases.put({ ...stored, version: '2' });
    await watch.refresh();
    await clock.advance(14_999);
    await watch.refresh();
    assert.deepEqual([watch.get(target)?.ageMs, watch.get(target)?.isExpired], [14_999, false]);

    await clock.advance(1);
    await watch.refresh();

    assert.equal(watch.get(target)?.isExpired, true);
  });

  it('lists the leases once for all waiting callers', async () => {
    const { watch, clock, leases } = createFixture();
    const waits = [watch.next(), watch.next(), watch.next()];

    await clock.advance(1_500);
    await Promise.all(waits);

    assert.deepEqual(leases.requests, ['list']);
  });
});
