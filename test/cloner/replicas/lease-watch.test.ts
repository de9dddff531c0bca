import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createLeaseBoard, type LeaseBoard } from '../../../lib/cloner/replicas/lease-watch.ts';
import { createFakeClock, type FakeClock } from '../../support/fake-clock.ts';
import { createMemoryLeases, type MemoryLeases } from '../../support/memory-leases.ts';

const target = 'backup.test/acme/nginx:1.27';

function stage(): {
  readonly leases: MemoryLeases;
  readonly clock: FakeClock;
  readonly board: LeaseBoard;
} {
  const leases = createMemoryLeases();
  const clock = createFakeClock();
  const sourceDigest = 'sha256:a';
  const reading = { elapsedMs: 0, idleMs: 0 };
  leases.put({ target, holder: 'b', sourceDigest, reading, version: '1' });
  return { leases, clock, board: createLeaseBoard({ store: leases.store, clock }) };
}

describe('createLeaseBoard', () => {
  it('knows nothing before it has looked', async () => {
    const { board } = stage();
    assert.deepEqual([board.seen(target), board.isFresh()], [undefined, false]);

    await board.refresh();

    assert.equal(board.seen(target)?.holder, 'b');
    assert.equal(board.isFresh(), true);
  });

  it('does not take for dead whom it has only not looked at', async () => {
    const { board, clock } = stage();
    await board.refresh();

    await clock.advance(100_000);

    assert.equal(board.seen(target)?.isExpired, false);
    assert.equal(board.isFresh(), false);
    await board.refresh();
    assert.equal(board.seen(target)?.isExpired, true);
  });

  it('counts from the last change that it saw', async () => {
    const { board, clock, leases } = stage();
    await board.refresh();
    await clock.advance(14_000);
    const seen = leases.at(target);
    if (seen !== undefined) leases.put({ ...seen, version: '2' });
    await board.refresh();
    await clock.advance(14_999);
    await board.refresh();
    assert.deepEqual([board.seen(target)?.ageMs, board.seen(target)?.isExpired], [14_999, false]);

    await clock.advance(1);
    await board.refresh();

    assert.equal(board.seen(target)?.isExpired, true);
  });

  it('looks once for all who wait', async () => {
    const { board, clock, leases } = stage();
    const waits = [board.next(), board.next(), board.next()];

    await clock.advance(1_500);
    await Promise.all(waits);

    assert.deepEqual(leases.asked, ['list']);
  });
});
