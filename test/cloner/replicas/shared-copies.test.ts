import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type CopyKey, type CopyResult, createCopies } from '../../../lib/cloner/queue/copies.ts';
import { type SharedCopies, shareCopies } from '../../../lib/cloner/replicas/shared-copies.ts';
import { CloneError, type CopyProgress } from '../../../lib/index.ts';
import { createFakeClock, type FakeClock, settle } from '../../support/fake-clock.ts';
import { createMemoryLeases, type MemoryLeases } from '../../support/memory-leases.ts';
import { createMemoryLog, type MemoryLog } from '../../support/memory-log.ts';

const target = 'backup.test/acme/nginx:1.27';
const key = (change: Partial<CopyKey> = {}): CopyKey => ({
  target,
  sourceDigest: 'sha256:a',
  ...change,
});
const copied: CopyResult = { digest: 'sha256:a', bytes: 7, warnings: [] };
const elsewhere: CopyResult = { digest: 'sha256:a', bytes: 0, warnings: [], isElsewhere: true };
const forty: CopyProgress = { phase: 'copy', doneBytes: 40, totalBytes: 100 };
const { signal: forever } = new AbortController();

/** What is copied, by whomever: the backup of all replicas. */
interface Backup {
  /** Each as `a sha256:a`: the replica and the digest. */
  readonly begun: readonly string[];
  readonly aborted: readonly string[];
  tell(progress: CopyProgress): void;
  /** How often somebody looked whether it is there. */
  readonly looks: () => number;
  /** @default whatever runs, on both */
  finish(replica?: string): void;
  fail(error: Error): void;
}

interface Replica {
  readonly copies: SharedCopies;
  readonly log: MemoryLog;
  ask(change?: Partial<CopyKey>): ReturnType<SharedCopies['start']>;
}

interface Stage {
  readonly clock: FakeClock;
  readonly leases: MemoryLeases;
  readonly backup: Backup;
  readonly a: Replica;
  readonly b: Replica;
}

function stage({ maxCopies = 4 }: { readonly maxCopies?: number } = {}): Stage {
  const clock = createFakeClock();
  const leases = createMemoryLeases();
  const held = new Set<string>();
  const begun: string[] = [];
  const aborted: string[] = [];
  const running = new Set<{
    readonly tell: (progress: CopyProgress) => void;
    readonly end: PromiseWithResolvers<CopyResult>;
    readonly digest: string;
    readonly name: string;
  }>();
  let looks = 0;

  function createReplica(name: string): Replica {
    const log = createMemoryLog();
    const copies = shareCopies({
      copies: createCopies({ maxCopies, now: clock.now }),
      store: leases.store,
      holder: name,
      clock,
      logger: log.logger,
    });
    return {
      copies,
      log,
      ask(change = {}) {
        const { sourceDigest } = key(change);
        return copies.start(
          key(change),
          async (signal, onProgress) => {
            begun.push(`${name} ${sourceDigest}`);
            const end = Promise.withResolvers<CopyResult>();
            const copy = { tell: onProgress, end, digest: sourceDigest, name };
            running.add(copy);
            signal.addEventListener('abort', () => {
              aborted.push(name);
              end.reject(signal.reason);
            });
            return await end.promise.finally(() => running.delete(copy));
          },
          () => {
            looks += 1;
            return Promise.resolve(held.has(sourceDigest) ? sourceDigest : undefined);
          },
        );
      },
    };
  }

  return {
    clock,
    leases,
    a: createReplica('a'),
    b: createReplica('b'),
    backup: {
      begun,
      aborted,
      tell: (progress) => {
        for (const copy of running) copy.tell(progress);
      },
      looks: () => looks,
      finish: (replica) => {
        for (const { end, digest, name } of running) {
          if (replica !== undefined && replica !== name) continue;
          held.add(digest);
          end.resolve({ ...copied, digest });
        }
      },
      fail: (error) => {
        for (const { end } of running) end.reject(error);
      },
    },
  };
}

describe('shareCopies', () => {
  it('goes on elsewhere where one replica puts it back in line', async () => {
    const { a, b, backup, clock } = stage({ maxCopies: 1 });
    const first = a.ask({ namespace: 'crowd' }).wait(forever);
    await settle();
    const second = b.ask({ namespace: 'crowd' }).wait(forever);
    await clock.advance(121_000);
    assert.deepEqual(backup.begun, ['a sha256:a']);

    const other = 'backup.test/acme/alpine:3.20';
    const wanted = a.ask({ target: other, sourceDigest: 'sha256:b', namespace: 'shop' });
    await clock.advance(3_000);

    assert.deepEqual(backup.begun, ['a sha256:a', 'a sha256:b', 'b sha256:a']);
    backup.finish();
    await clock.advance(3_000);
    assert.deepEqual(await wanted.wait(forever), { ...copied, digest: 'sha256:b' });
    assert.deepEqual(await second, copied);
    assert.deepEqual(await first, elsewhere);
  });

  it('makes one copy, and the other replica finds it in the backup', async () => {
    const { a, b, backup, clock, leases } = stage();
    const first = a.ask().wait(forever);
    await settle();
    const second = b.ask().wait(forever);
    await clock.advance(3_000);

    backup.finish();
    await clock.advance(1_500);

    assert.deepEqual(await first, copied);
    assert.deepEqual(await second, elsewhere);
    assert.deepEqual(backup.begun, ['a sha256:a']);
    assert.equal(leases.at(target), undefined);
  });

  it("tells the holder's progress on every replica", async () => {
    const { a, b, backup, clock } = stage();
    const own = a.ask();
    await clock.advance(1_000);
    backup.tell(forty);
    const theirs = b.ask();
    void theirs.wait(forever);
    await clock.advance(4_000);

    const same = { elapsedMs: 5_000, idleMs: 4_000, now: forty };
    assert.deepEqual(own.progress(), { ...same, bytesPerSecond: 8, remainingMs: 7_500 });
    // As it was a second ago, when it was told; the clock ran on.
    assert.deepEqual(theirs.progress(), { ...same, bytesPerSecond: 10, remainingMs: 5_000 });
    backup.finish();
  });

  it('tells it at once to who asks again, without standing in line', async () => {
    const { a, b, backup, clock, leases } = stage();
    a.ask();
    await settle();
    backup.tell(forty);
    void b.ask().wait(forever);
    await clock.advance(4_500);
    const before = leases.requests.length;

    assert.deepEqual(b.ask().progress()?.now, forty);
    await settle();
    assert.equal(leases.requests.length, before);
    backup.finish();
  });

  it('ends the waiting with the caller, and the copy goes on', async () => {
    const { a, b, backup, clock } = stage();
    const first = a.ask().wait(forever);
    await settle();
    const caller = new AbortController();
    const second = b.ask().wait(caller.signal);
    await clock.advance(2_000);

    caller.abort();

    assert.equal(await second, undefined);
    backup.finish();
    assert.deepEqual(await first, copied);
  });

  it('keeps its lease for as long as the copy takes, also without news', async () => {
    const { a, b, backup, clock } = stage();
    const first = a.ask().wait(forever);
    await settle();
    const second = b.ask().wait(forever);

    await clock.advance(600_000);

    assert.deepEqual(backup.begun, ['a sha256:a']);
    backup.finish();
    await clock.advance(2_000);
    assert.deepEqual([await first, await second], [copied, elsewhere]);
  });

  it('takes over from a holder that was not seen to live for 15 seconds, not before', async () => {
    const { b, backup, clock, leases } = stage();
    leases.put({
      ...key(),
      holder: 'dead',
      reading: { idleMs: 0, elapsedMs: 9, now: forty },
      version: '0',
    });
    const wait = b.ask().wait(forever);

    await clock.advance(14_000);
    assert.deepEqual(backup.begun, []);
    await clock.advance(4_000);

    assert.deepEqual(backup.begun, ['b sha256:a']);
    assert.equal(leases.at(target)?.holder, 'b');
    backup.finish();
    assert.deepEqual(await wait, copied);
  });

  it('lets one of two take over', async () => {
    const { a, b, backup, clock, leases } = stage();
    leases.put({ ...key(), holder: 'dead', reading: { idleMs: 0, elapsedMs: 9 }, version: '0' });
    const waits = [a.ask().wait(forever), b.ask().wait(forever)];
    await clock.advance(20_000);
    assert.equal(backup.begun.length, 1);

    backup.finish();
    await clock.advance(2_000);

    const bytes = (await Promise.all(waits)).map((result) => result?.bytes ?? -1);
    assert.deepEqual(
      bytes.toSorted((x, y) => x - y),
      [0, 7],
    );
  });

  it('does not take an API server that was silent for a holder that is dead', async () => {
    const { a, b, backup, clock, leases } = stage();
    void a.ask().wait(forever);
    await clock.advance(700);
    void b.ask().wait(forever);
    await clock.advance(3_200);

    leases.answer('unavailable');
    await clock.advance(13_100);
    // From here on b looks before a renews: what it sees has not changed for 15 seconds.
    leases.answer(undefined);
    await clock.advance(60_000);

    assert.deepEqual(backup.begun, ['a sha256:a']);
    backup.finish();
  });

  it('copies without a lease where the API server does not answer', async () => {
    const { a, backup, leases } = stage();
    leases.answer('unavailable');
    const wait = a.ask().wait(forever);
    await settle();

    backup.finish();

    assert.deepEqual(await wait, copied);
  });

  it('takes the lease late where the API server did not answer when the copy began', async () => {
    const { a, b, backup, clock, leases } = stage();
    leases.answer('unavailable');
    const first = a.ask().wait(forever);
    await clock.advance(3_000);
    leases.answer(undefined);
    await clock.advance(2_000);
    assert.equal(leases.at(target)?.holder, 'a');

    const second = b.ask().wait(forever);
    await clock.advance(30_000);
    backup.finish();
    await clock.advance(2_000);

    assert.deepEqual(backup.begun, ['a sha256:a']);
    assert.deepEqual([await first, await second], [copied, elsewhere]);
    assert.equal(leases.at(target), undefined);
  });

  it('has one of two go on that began so, and the other join it', async () => {
    const { a, b, backup, clock, leases } = stage();
    leases.answer('unavailable');
    const waits = [a.ask().wait(forever), b.ask().wait(forever)];
    await settle();
    assert.deepEqual(backup.begun, ['a sha256:a', 'b sha256:a']);
    leases.answer(undefined);

    await clock.advance(2_000);
    assert.deepEqual(backup.aborted, ['b']);
    backup.finish();
    await clock.advance(3_000);

    assert.deepEqual(await Promise.all(waits), [copied, elsewhere]);
    assert.equal(leases.at(target), undefined);
  });

  it('waits no longer for another replica that nobody can see any more', async () => {
    const { a, b, backup, clock, leases } = stage();
    a.ask();
    await settle();
    const wait = b.ask().wait(forever);
    await clock.advance(3_000);

    leases.answer('unavailable');
    await clock.advance(20_000);

    assert.deepEqual(backup.begun, ['a sha256:a', 'b sha256:a']);
    backup.finish();
    assert.deepEqual(await wait, copied);
  });

  it('stops a copy that another replica took over while we were gone, and waits for that one', async () => {
    const { a, backup, clock, leases } = stage();
    const wait = a.ask().wait(forever);
    await settle();
    leases.put({
      ...key(),
      holder: 'c',
      reading: { idleMs: 0, elapsedMs: 1, now: forty },
      version: 'c1',
    });

    await clock.advance(5_000);
    assert.deepEqual(backup.aborted, ['a']);
    assert.equal(leases.at(target)?.holder, 'c');
    leases.delete(target);
    await clock.advance(3_000);

    // It was not in the backup: c has failed.
    assert.deepEqual(backup.begun, ['a sha256:a', 'a sha256:a']);
    backup.finish();
    assert.deepEqual(await wait, copied);
  });

  it('makes a lease anew that somebody has removed, and copies on', async () => {
    const { a, backup, clock, leases } = stage();
    const wait = a.ask().wait(forever);
    await settle();
    leases.delete(target);

    await clock.advance(5_000);

    assert.equal(leases.at(target)?.holder, 'a');
    assert.deepEqual(backup.aborted, []);
    backup.finish();
    assert.deepEqual(await wait, copied);
    assert.equal(leases.at(target), undefined);
  });

  it('does not lose its lease by an answer that it does not hear', async () => {
    const { a, backup, clock, leases } = stage();
    const wait = a.ask().wait(forever);
    await settle();
    leases.loseNextAnswer();
    await clock.advance(20_000);
    leases.loseNextAnswer();
    await clock.advance(2_000);

    backup.finish();

    assert.deepEqual(await wait, copied);
    assert.deepEqual(backup.aborted, []);
    assert.equal(leases.at(target), undefined);
  });

  it('takes its own lease back that it did not hear of', async () => {
    const { a, backup, leases } = stage();
    leases.loseNextAnswer();
    const first = a.ask().wait(forever);
    await settle();
    assert.equal(leases.at(target)?.holder, 'a');
    backup.fail(new CloneError('SOURCE_UNAVAILABLE', 'gone'));
    await assert.rejects(first, { code: 'SOURCE_UNAVAILABLE' });

    const second = a.ask().wait(forever);
    await settle();
    backup.finish();

    assert.deepEqual(await second, copied);
    assert.equal(leases.at(target), undefined);
  });

  it('tries itself what another replica failed at', async () => {
    const { a, b, backup, clock, leases } = stage();
    const first = a.ask().wait(forever);
    await settle();
    const second = b.ask().wait(forever);
    await clock.advance(2_000);

    backup.fail(new CloneError('SOURCE_DENIED', 'denied'));
    await assert.rejects(first, { code: 'SOURCE_DENIED' });
    await clock.advance(2_000);
    assert.deepEqual(backup.begun, ['a sha256:a', 'b sha256:a']);
    backup.finish();

    assert.deepEqual(await second, copied);
    assert.equal(leases.at(target), undefined);
  });

  it('lets another digest for the same tag wait for its turn', async () => {
    const { a, b, backup, clock } = stage();
    a.ask();
    await settle();
    backup.tell(forty);
    const other = b.ask({ sourceDigest: 'sha256:b' });
    const wait = other.wait(forever);
    await clock.advance(10_000);
    assert.deepEqual(backup.begun, ['a sha256:a']);
    assert.equal(other.progress(), undefined);
    assert.deepEqual(other.place(), { ahead: 1, expectedMs: 11_000 });

    backup.finish();
    await clock.advance(3_000);
    backup.finish();

    assert.equal((await wait)?.digest, 'sha256:b');
    assert.deepEqual(backup.begun, ['a sha256:a', 'b sha256:b']);
  });

  it('keeps its turns free while it waits for another replica', async () => {
    const { a, b, backup, clock } = stage({ maxCopies: 1 });
    a.ask();
    await settle();
    void b.ask().wait(forever);
    await clock.advance(2_000);

    void b.ask({ target: 'backup.test/acme/redis:8', sourceDigest: 'sha256:r' }).wait(forever);
    await settle();

    assert.deepEqual(backup.begun, ['a sha256:a', 'b sha256:r']);
    backup.finish();
  });

  it('stands in no line for what another replica makes meanwhile', async () => {
    const { a, b, backup, clock } = stage({ maxCopies: 1 });
    const busy = { target: 'backup.test/acme/redis:8', sourceDigest: 'sha256:r' };
    b.ask(busy);
    await settle();
    const queued = b.ask();
    const wait = queued.wait(forever);
    await settle();
    assert.equal(queued.progress(), undefined);
    a.ask();
    await settle();
    backup.tell(forty);
    assert.deepEqual(queued.place(), { ahead: 0 });
    await clock.advance(4_500);
    assert.deepEqual(queued.progress()?.now, forty);
    assert.equal(queued.place(), undefined);

    backup.finish('a');
    await clock.advance(2_000);

    assert.deepEqual(await wait, elsewhere);
    assert.deepEqual(backup.begun, ['b sha256:r', 'a sha256:a']);
    backup.finish();
  });

  it('asks nobody once nobody waits', async () => {
    const { a, b, backup, clock, leases } = stage();
    a.ask();
    await settle();
    const caller = new AbortController();
    const wait = b.ask().wait(caller.signal);
    await clock.advance(2_000);
    caller.abort();
    await wait;
    backup.finish();
    await clock.advance(3_000);
    const before = leases.requests.length;

    await clock.advance(100_000);

    assert.equal(leases.requests.length, before);
  });

  it('asks nobody for whom nobody waits in line any more', async () => {
    const { b, backup, clock, leases } = stage({ maxCopies: 1 });
    b.ask({ target: 'backup.test/acme/redis:8', sourceDigest: 'sha256:r' });
    await settle();
    const caller = new AbortController();
    const wait = b.ask().wait(caller.signal);
    await clock.advance(2_000);
    assert.ok(leases.requests.includes('list'));
    caller.abort();
    await wait;
    await clock.advance(2_000);
    const before = leases.requests.filter((question) => question === 'list').length;

    await clock.advance(60_000);

    assert.equal(leases.requests.filter((question) => question === 'list').length, before);
    backup.finish();
  });

  it('looks into the backup once for all who waited', async () => {
    const { a, b, backup, clock } = stage();
    const first = a.ask().wait(forever);
    await settle();
    const waits = [1, 2, 3].map(() => b.ask().wait(forever));
    await clock.advance(3_000);
    const before = backup.looks();

    backup.finish();
    await clock.advance(1_500);

    assert.deepEqual(await Promise.all(waits), [elsewhere, elsewhere, elsewhere]);
    assert.equal(backup.looks() - before, 1);
    await first;
  });

  it('does not wait for what it saw long ago', async () => {
    const { a, b, backup, clock } = stage();
    a.ask();
    await settle();
    const caller = new AbortController();
    const wait = b.ask().wait(caller.signal);
    await clock.advance(2_000);
    caller.abort();
    await wait;
    await clock.advance(2_000);
    backup.finish();
    await clock.advance(60_000);

    const next = b.ask({ sourceDigest: 'sha256:b' });
    await settle();

    assert.deepEqual(backup.begun, ['a sha256:a', 'b sha256:b']);
    assert.notEqual(next.progress(), undefined);
    backup.finish();
  });

  it('tells of a copy that was left in line and began when nobody waited', async () => {
    const { a, b, backup, clock, leases } = stage({ maxCopies: 1 });
    b.ask({ target: 'backup.test/acme/redis:8', sourceDigest: 'sha256:r' });
    await settle();
    const caller = new AbortController();
    const wait = b.ask().wait(caller.signal);
    a.ask();
    await clock.advance(4_000);
    caller.abort();
    await wait;
    backup.fail(new CloneError('SOURCE_UNAVAILABLE', 'gone'));
    await settle();
    backup.tell(forty);

    await clock.advance(2_000);

    assert.equal(leases.at(target)?.holder, 'b');
    assert.deepEqual(leases.at(target)?.reading.now, forty);
    backup.finish();
  });

  it('leaves no lease behind where the copy ends amid a renewal', async () => {
    const { a, backup, clock, leases } = stage();
    const wait = a.ask().wait(forever);
    await settle();
    const release = leases.holdReplacements();
    await clock.advance(2_000);
    backup.finish();
    await settle();

    release();

    assert.deepEqual(await wait, copied);
    await clock.advance(5_000);
    assert.equal(leases.at(target), undefined);
  });

  it('leaves a lease alone that another replica took over in the last moment', async () => {
    const { a, backup, clock, leases } = stage();
    const wait = a.ask().wait(forever);
    await clock.advance(2_500);
    leases.put({ ...key(), holder: 'c', reading: { idleMs: 0, elapsedMs: 1 }, version: 'c1' });

    backup.finish();

    assert.deepEqual(await wait, copied);
    assert.equal(leases.at(target)?.holder, 'c');
  });

  it('stopped, releases each lease when its copy ends, and begins nothing more', async () => {
    const { a, backup, leases } = stage();
    const wait = a.ask().wait(forever);
    await settle();

    a.copies.stop({ abort: false });
    assert.equal(leases.at(target)?.holder, 'a');
    backup.finish();
    await a.copies.idle();

    assert.deepEqual(await wait, copied);
    assert.equal(leases.at(target), undefined);
    await assert.rejects(async () => await a.ask().wait(forever), { code: 'INTERRUPTED' });
  });

  it('stopped hard, releases its leases too', async () => {
    const { a, leases } = stage();
    const wait = a.ask().wait(forever);
    await settle();

    a.copies.stop({ abort: true });

    await assert.rejects(wait, { code: 'INTERRUPTED' });
    await a.copies.idle();
    assert.equal(leases.at(target), undefined);
  });

  it('clears away what a dead replica left and nobody waits for, and nothing else', async () => {
    const { a, b, backup, clock, leases } = stage();
    const left = { target: 'backup.test/acme/old:1', sourceDigest: 'sha256:o' };
    leases.put({ ...left, holder: 'dead', reading: { idleMs: 0, elapsedMs: 0 }, version: '0' });
    b.ask();
    void a.copies.watch();
    await settle();
    assert.ok(leases.at(left.target));

    await clock.advance(300_000);

    assert.equal(leases.at(left.target), undefined);
    assert.equal(leases.at(target)?.holder, 'b');
    backup.finish();
    a.copies.stop({ abort: false });
    await settle();
    const before = leases.requests.length;
    await clock.advance(600_000);
    assert.equal(leases.requests.length, before);
  });
});
