import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createLeaseBreaker } from '../../../lib/cloner/replicas/lease-breaker.ts';
import { ConfigError } from '../../../lib/errors.ts';
import type { LeaseStore } from '../../../lib/index.ts';
import { createFakeClock, type FakeClock } from '../../support/fake-clock.ts';
import { createMemoryLeases, type MemoryLeases } from '../../support/memory-leases.ts';
import { createMemoryLog } from '../../support/memory-log.ts';

const { signal } = new AbortController();

interface Stage {
  readonly leases: MemoryLeases;
  readonly clock: FakeClock;
  readonly gate: LeaseStore;
  /** `warn may not`, each line's level and message. */
  readonly said: () => readonly string[];
}

function stage(open?: () => Promise<LeaseStore>): Stage {
  const leases = createMemoryLeases();
  const clock = createFakeClock();
  const log = createMemoryLog();
  const gate = createLeaseBreaker({
    open: open ?? (() => Promise.resolve(leases.store)),
    clock,
    logger: log.logger,
  });
  const said = (): readonly string[] =>
    log.lines.map(({ level, message }) => `${level} ${message}`);
  return { leases, clock, gate, said };
}

const forbidden =
  'warn Leases of coordination.k8s.io are forbidden in this namespace: each replica makes its own copies';
const silent =
  'warn the API server does not answer for Leases: copies are made without, at worst twice';
const shared = 'info copies are shared with the other replicas by Leases';

describe('createLeaseBreaker', () => {
  it('opens what is behind it at the first question, once', async () => {
    let opened = 0;
    const { store } = createMemoryLeases();
    const { gate } = stage(() => {
      opened += 1;
      return Promise.resolve(store);
    });
    assert.equal(opened, 0);

    await Promise.all([gate.list(signal), gate.list(signal)]);

    assert.equal(opened, 1);
  });

  it('says once that Leases may not be used, and asks again a minute later', async () => {
    const { leases, clock, gate, said } = stage();
    leases.answer('forbidden');

    for (let second = 0; second < 59; second += 1) {
      assert.deepEqual(await gate.list(signal), { status: 'forbidden' });
      await clock.advance(1_000);
    }
    assert.deepEqual([leases.requests.length, said()], [1, [forbidden]]);
    await clock.advance(1_000);
    leases.answer(undefined);

    assert.equal((await gate.list(signal)).status, 'done');
    assert.deepEqual(said(), [forbidden, shared]);
  });

  it('says once that the API server is silent, and has nobody wait for it within 5 seconds', async () => {
    const { leases, clock, gate, said } = stage();
    leases.answer('unavailable');

    for (let second = 0; second < 20; second += 1) {
      assert.deepEqual(await gate.list(signal), { status: 'unavailable' });
      await clock.advance(1_000);
    }
    leases.answer(undefined);
    await clock.advance(5_000);
    await gate.list(signal);

    assert.equal(leases.requests.length, 5);
    assert.deepEqual(said(), [silent, shared]);
  });

  it('learns nothing from a question that nobody waited for', async () => {
    const { gate, said } = stage();

    await gate.list(AbortSignal.abort());
    const answer = await gate.list(signal);

    assert.equal(answer.status, 'done');
    assert.deepEqual(said(), [shared]);
  });

  it('says once why there can be no Leases, and tries again each minute', async () => {
    const { store } = createMemoryLeases();
    // It may have had no file descriptor left to read its token with.
    const answers = [
      ...Array.from({ length: 2 }, () => Promise.reject(new ConfigError(['no token']))),
      Promise.resolve(store),
    ];
    for (const answer of answers) answer.catch(() => undefined);
    const { clock, gate, said } = stage(() => answers.shift() ?? Promise.resolve(store));

    for (const pauseMs of [0, 59_000, 1_000]) {
      await clock.advance(pauseMs);
      assert.deepEqual(await gate.list(signal), { status: 'forbidden' });
    }
    assert.equal(answers.length, 1);
    await clock.advance(60_000);

    assert.equal((await gate.list(signal)).status, 'done');
    assert.deepEqual(said(), [
      'warn Leases cannot be used: each replica makes its own copies',
      shared,
    ]);
  });
});
