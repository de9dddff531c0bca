import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type CopyResult, createCopies } from '../../../lib/cloner/queue/copies.ts';
import { type SharedCopies, shareCopies } from '../../../lib/cloner/replicas/shared-copies.ts';
import { CloneError, type LeaseAnswer, type LeaseStore } from '../../../lib/index.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { createMemoryLeases } from '../../support/memory-leases.ts';
import { createMemoryLog } from '../../support/memory-log.ts';

/** As many storms as are tried on every change; each has its number in its name. */
const storms = 12;
const steps = 120;
const { signal: forever } = new AbortController();
/** While nobody knows who lives, two may make the same copy: so long after an outage, and after the death of a holder. */
const settlingMs = 20_000;

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

/** Deterministic, and good enough to choose by (mulberry32). */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

async function storm(seed: number): Promise<void> {
  const random = createRandom(seed);
  const clock = createFakeClock();
  const leases = createMemoryLeases();
  const held = new Set<string>();
  const replicas: Replica[] = [];
  const waits = new Set<{ readonly of: Replica; isOver: boolean }>();
  let outageAt = Number.NEGATIVE_INFINITY;
  let isOut = false;
  let losesAnswer = false;
  let born = 0;

  function addReplica(): void {
    born += 1;
    const name = `r${born}`;
    const never = new Promise<never>(() => undefined);
    const alive = async <Answer>(work: () => Promise<Answer>): Promise<Answer> =>
      replica.isDead ? await never : await work();
    /** It is done, or a conflict, and we do not hear of it: two may copy until we ask again. */
    const heard = async <Found>(
      work: () => Promise<LeaseAnswer<Found>>,
    ): Promise<LeaseAnswer<Found>> => {
      const answer = await alive(work);
      if (!losesAnswer) return answer;
      losesAnswer = false;
      outageAt = clock.now();
      return { status: 'unavailable' };
    };
    const store: LeaseStore = {
      list: (signal) => alive(() => leases.store.list(signal)),
      create: (lease, signal) => heard(() => leases.store.create(lease, signal)),
      replace: (lease, version, signal) =>
        heard(() => leases.store.replace(lease, version, signal)),
      remove: (lease, signal) => heard(() => leases.store.remove(lease, signal)),
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

  function ask(replica: Replica): void {
    const target = `backup.test/acme/${random(3)}:1`;
    const digest = `sha256:${random(2)}`;
    const id = `${target}@${digest}`;
    const wait = { of: replica, isOver: false };
    waits.add(wait);
    const over = (): void => {
      wait.isOver = true;
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
        .wait(random(4) === 0 ? AbortSignal.abort() : forever)
        .then(over, (error: unknown) => {
          assert.ok(error instanceof CloneError, String(error));
          over();
        });
    } catch (error) {
      // It failed a moment ago.
      assert.ok(error instanceof CloneError, String(error));
      over();
    }
  }

  function end({ running }: Replica, isWell: boolean): void {
    for (const { target, digest, end: ended } of running) {
      if (isWell) held.add(`${target}@${digest}`);
      if (isWell) ended.resolve({ digest, bytes: 1, warnings: [] });
      else ended.reject(new CloneError('SOURCE_UNAVAILABLE', 'gone'));
    }
  }

  const acts: readonly (() => void)[] = [
    () => ask(anyLiving()),
    () => ask(anyLiving()),
    () => ask(anyLiving()),
    () => end(anyLiving(), true),
    () => end(anyLiving(), random(2) === 0),
    () => {
      if (random(3) > 0) return;
      anyLiving().isDead = true;
      addReplica();
    },
    () => {
      if (!isOut && random(2) === 0) return;
      isOut = !isOut;
      leases.answer(isOut ? 'unavailable' : undefined);
    },
    () => {
      losesAnswer ||= random(2) === 0;
    },
  ];

  function assertOneEach(): void {
    if (isOut) outageAt = clock.now();
    if (clock.now() - outageAt < settlingMs) return;
    const targets = living().flatMap(({ running }) => [...running].map(({ target }) => target));
    assert.equal(new Set(targets).size, targets.length, `two copies at once: ${targets.join()}`);
  }

  for (let count = 0; count < 3; count += 1) addReplica();
  for (let step = 0; step < steps; step += 1) {
    acts[random(acts.length)]?.();
    await clock.advance(random(4_000));
    assertOneEach();
  }

  leases.answer(undefined);
  for (let step = 0; step < 60; step += 1) {
    await clock.advance(2_000);
    for (const replica of living()) end(replica, true);
  }
  await clock.advance(2_000);
  const left = [...waits].filter(({ of, isOver }) => !of.isDead && !isOver);
  assert.equal(left.length, 0, 'somebody waits for ever');
  await clock.advance(700_000);
  assert.deepEqual(leases.targets(), []);
  for (const { copies } of living()) {
    assert.deepEqual(copies.counts(), { running: 0, waiting: 0 });
    copies.stop({ abort: true });
  }
}

describe('replicas that die, fail, and lose the API server', () => {
  for (let seed = 1; seed <= storms; seed += 1) {
    it(`make each copy once at a time, leave nobody waiting and nothing behind, storm ${seed}`, async () => {
      await storm(seed);
    });
  }
});
