import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type CopyResult, createCopies } from '../../../lib/cloner/queue/copies.ts';
import { type SharedCopies, shareCopies } from '../../../lib/cloner/replicas/shared-copies.ts';
import { CloneError, type LeaseAnswer, type LeaseStore } from '../../../lib/index.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { createMemoryLeases } from '../../support/memory-leases.ts';
import { createMemoryLog } from '../../support/memory-log.ts';

/** Random runs, each with its seed in its title. */
const runs = 12;
const steps = 120;
const { signal: neverAborted } = new AbortController();
/** Two replicas may make the same copy for this time after an outage of the API server. */
const toleranceMs = 20_000;

interface Running {
  readonly target: string;
  readonly digest: string;
  readonly end: PromiseWithResolvers<CopyResult>;
}

interface Replica {
  readonly name: string;
  readonly copies: SharedCopies;
  readonly running: Set<Running>;
  isDead: boolean;
}

/** mulberry32: the same numbers for the same seed. */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

async function runStorm(seed: number): Promise<void> {
  const random = createRandom(seed);
  const clock = createFakeClock();
  const leases = createMemoryLeases();
  const held = new Set<string>();
  const replicas: Replica[] = [];
  const waits = new Set<{ readonly of: Replica; isSettled: boolean }>();
  let unavailableAt = Number.NEGATIVE_INFINITY;
  let isUnavailable = false;
  let losesAnswer = false;
  let replicaCount = 0;

  function addReplica(): void {
    replicaCount += 1;
    const name = `r${replicaCount}`;
    const never = new Promise<never>(() => undefined);
    const alive = async <Answer>(work: () => Promise<Answer>): Promise<Answer> =>
      replica.isDead ? await never : await work();
    /** The API server does the write and its answer may be lost, so two replicas may copy until the next call. */
    const maybeLost = async <Found>(
      work: () => Promise<LeaseAnswer<Found>>,
    ): Promise<LeaseAnswer<Found>> => {
      const answer = await alive(work);
      if (!losesAnswer) return answer;
      losesAnswer = false;
      unavailableAt = clock.now();
      return { status: 'unavailable' };
    };
    const store: LeaseStore = {
      list: (signal) => alive(() => leases.store.list(signal)),
      create: (lease, signal) => maybeLost(() => leases.store.create(lease, signal)),
      replace: (lease, version, signal) =>
        maybeLost(() => leases.store.replace(lease, version, signal)),
      remove: (lease, signal) => maybeLost(() => leases.store.remove(lease, signal)),
    };
    const replica: Replica = {
      name,
      running: new Set(),
      isDead: false,
      copies: shareCopies({
        copies: createCopies({ maxCopies: 2, now: clock.now }),
        store,
        holder: name,
        clock,
        logger: createMemoryLog().logger,
      }),
    };
    replicas.push(replica);
    void replica.copies.watch();
  }

  const living = (): readonly Replica[] => replicas.filter(({ isDead }) => !isDead);
  function anyLiving(): Replica {
    const all = living();
    const chosen = all[random(all.length)];
    assert.ok(chosen);
    return chosen;
  }

  function startCopy(replica: Replica): void {
    const target = `backup.test/acme/${random(3)}:1`;
    const digest = `sha256:${random(2)}`;
    const id = `${target}@${digest}`;
    const wait = { of: replica, isSettled: false };
    waits.add(wait);
    const settle = (): void => {
      wait.isSettled = true;
    };
    const work = async (signal: AbortSignal): Promise<CopyResult> => {
      const copy: Running = { target, digest, end: Promise.withResolvers() };
      replica.running.add(copy);
      signal.addEventListener('abort', () => copy.end.reject(signal.reason), { once: true });
      try {
        return await copy.end.promise;
      } finally {
        replica.running.delete(copy);
      }
    };
    const find = (): Promise<string | undefined> =>
      Promise.resolve(held.has(id) ? digest : undefined);
    try {
      replica.copies
        .start({ target, sourceDigest: digest }, work, find)
        .wait(random(4) === 0 ? AbortSignal.abort() : neverAborted)
        .then(settle, (error: unknown) => {
          assert.ok(error instanceof CloneError, String(error));
          settle();
        });
    } catch (error) {
      // The copy failed a moment ago.
      assert.ok(error instanceof CloneError, String(error));
      settle();
    }
  }

  function endCopies({ running }: Replica, succeeds: boolean): void {
    for (const { target, digest, end } of running) {
      if (succeeds) held.add(`${target}@${digest}`);
      if (succeeds) end.resolve({ digest, bytes: 1, warnings: [] });
      else end.reject(new CloneError('SOURCE_UNAVAILABLE', 'gone'));
    }
  }

  const actions: readonly (() => void)[] = [
    () => startCopy(anyLiving()),
    () => startCopy(anyLiving()),
    () => startCopy(anyLiving()),
    () => endCopies(anyLiving(), true),
    () => endCopies(anyLiving(), random(2) === 0),
    () => {
      if (random(3) > 0) return;
      anyLiving().isDead = true;
      addReplica();
    },
    () => {
      if (!isUnavailable && random(2) === 0) return;
      isUnavailable = !isUnavailable;
      leases.answer(isUnavailable ? 'unavailable' : undefined);
    },
    () => {
      losesAnswer ||= random(2) === 0;
    },
  ];

  function assertOneCopyPerTarget(): void {
    if (isUnavailable) unavailableAt = clock.now();
    if (clock.now() - unavailableAt < toleranceMs) return;
    const targets = living().flatMap(({ running }) => [...running].map(({ target }) => target));
    assert.equal(new Set(targets).size, targets.length, `two copies at once: ${targets.join()}`);
  }

  for (let count = 0; count < 3; count += 1) addReplica();
  for (let step = 0; step < steps; step += 1) {
    actions[random(actions.length)]?.();
    await clock.advance(random(4_000));
    assertOneCopyPerTarget();
  }

  leases.answer(undefined);
  for (let step = 0; step < 60; step += 1) {
    await clock.advance(2_000);
    for (const replica of living()) endCopies(replica, true);
  }
  await clock.advance(2_000);
  const left = [...waits].filter(({ of, isSettled }) => !of.isDead && !isSettled);
  assert.equal(left.length, 0, 'a caller still waits');
  await clock.advance(700_000);
  assert.deepEqual(leases.targets(), []);
  for (const { copies } of living()) {
    assert.deepEqual(copies.counts(), { running: 0, waiting: 0 });
    copies.stop({ abort: true });
  }
}

describe('shareCopies with random deaths, failures and API server outages', () => {
  for (let seed = 1; seed <= runs; seed += 1) {
    it(`replicas make one copy per target at a time, settle every caller and leave no lease (seed ${seed})`, async () => {
      await runStorm(seed);
    });
  }
});
