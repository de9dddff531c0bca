import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createLeaseBreaker } from '../../../lib/cloner/replicas/lease-breaker.ts';
import { ConfigError } from '../../../lib/errors.ts';
import type { LeaseStore } from '../../../lib/index.ts';
import { createFakeClock, type FakeClock } from '../../support/fake-clock.ts';
import { createMemoryLeases, type MemoryLeases } from '../../support/memory-leases.ts';
import { createMemoryLog } from '../../support/memory-log.ts';

const { signal } = new AbortController();

interface Fixture {
  readonly leases: MemoryLeases;
  readonly clock: FakeClock;
  readonly breaker: LeaseStore;
  /** Level and message of each log line. */
  readonly logged: () => readonly string[];
}

function createFixture(open?: () => Promise<LeaseStore>): Fixture {
  const leases = createMemoryLeases();
  const clock = createFakeClock();
  const log = createMemoryLog();
  const breaker = createLeaseBreaker({
    open: open ?? (() => Promise.resolve(leases.store)),
    clock,
    logger: log.logger,
  });
  const logged = (): readonly string[] =>
    log.lines.map(({ level, message }) => `${level} ${message}`);
  return { leases, clock, breaker, logged };
}

const forbidden =
  'warn Leases of coordination.k8s.io are forbidden in this namespace: each replica makes its own copies';
const silent =
  'warn the API server does not answer Lease requests: replicas copy without Leases, at worst the same image twice';
const shared = 'info copies are shared with the other replicas by Leases';

describe('createLeaseBreaker', () => {
  it('opens the lease store once, at the first call', async () => {
    let opened = 0;
    const { store } = createMemoryLeases();
    const { breaker } = createFixture(() => {
      opened += 1;
      return Promise.resolve(store);
    });
    assert.equal(opened, 0);

    await Promise.all([breaker.list(signal), breaker.list(signal)]);

    assert.equal(opened, 1);
  });

  it('logs forbidden Leases once and calls the API server again a minute later', async () => {
    const { leases, clock, breaker, logged } = createFixture();
    leases.answer('forbidden');

    for (let second = 0; second < 59; second += 1) {
      assert.deepEqual(await breaker.list(signal), { status: 'forbidden' });
      await clock.advance(1_000);
    }
    assert.deepEqual([leases.requests.length, logged()], [1, [forbidden]]);
    await clock.advance(1_000);
    leases.answer(undefined);

    assert.equal((await breaker.list(signal)).status, 'done');
    assert.deepEqual(logged(), [forbidden, shared]);
  });

  it('logs a silent API server once and does not call it for 5 seconds', async () => {
    const { leases, clock, breaker, logged } = createFixture();
    leases.answer('unavailable');

    for (let second = 0; second < 20; second += 1) {
      assert.deepEqual(await breaker.list(signal), { status: 'unavailable' });
      await clock.advance(1_000);
    }
    leases.answer(undefined);
    await clock.advance(5_000);
    await breaker.list(signal);

    assert.equal(leases.requests.length, 5);
    assert.deepEqual(logged(), [silent, shared]);
  });

  it('ignores the answer to an aborted call to the lease store', async () => {
    const { breaker, logged } = createFixture();

    await breaker.list(AbortSignal.abort());
    const answer = await breaker.list(signal);

    assert.equal(answer.status, 'done');
    assert.deepEqual(logged(), [shared]);
  });

  it('logs once that the lease store cannot be opened and tries again each minute', async () => {
    const { store } = createMemoryLeases();
    // The cause may be temporary, such as no file descriptor to read the token.
    const answers = [
      ...Array.from({ length: 2 }, () => Promise.reject(new ConfigError(['no token']))),
      Promise.resolve(store),
    ];
    for (const answer of answers) answer.catch(() => undefined);
    const { clock, breaker, logged } = createFixture(
      () => answers.shift() ?? Promise.resolve(store),
    );

    for (const pauseMs of [0, 59_000, 1_000]) {
      await clock.advance(pauseMs);
      assert.deepEqual(await breaker.list(signal), { status: 'forbidden' });
    }
    assert.equal(answers.length, 1);
    await clock.advance(60_000);

    assert.equal((await breaker.list(signal)).status, 'done');
    assert.deepEqual(logged(), [
      'warn Leases cannot be used: each replica makes its own copies',
      shared,
    ]);
  });
});
