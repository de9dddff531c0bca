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
const copiedElsewhere: CopyResult = {
  digest: 'sha256:a',
  bytes: 0,
  warnings: [],
  isElsewhere: true,
};
const fortyPercent: CopyProgress = { phase: 'copy', doneBytes: 40, totalBytes: 100 };
const { signal: neverAborted } = new AbortController();

/** The backup of all replicas, and the copies that any of them makes. */
interface Backup {
  /** Replica and digest of each copy, such as `a sha256:a`. */
  readonly begun: readonly string[];
  readonly aborted: readonly string[];
  report(progress: CopyProgress): void;
  /** Reads that looked for the copy of another replica. */
  readonly reads: () => number;
  /** @default the running copies of both replicas */
  finish(replica?: string): void;
  fail(error: Error): void;
}

interface Replica {
  readonly copies: SharedCopies;
  readonly log: MemoryLog;
  start(change?: Partial<CopyKey>): ReturnType<SharedCopies['start']>;
}

interface Fixture {
  readonly clock: FakeClock;
  readonly leases: MemoryLeases;
  readonly backup: Backup;
  readonly a: Replica;
  readonly b: Replica;
}

function createFixture({ maxCopies = 4 }: { readonly maxCopies?: number } = {}): Fixture {
  const clock = createFakeClock();
  const leases = createMemoryLeases();
  const held = new Set<string>();
  const begun: string[] = [];
  const aborted: string[] = [];
  const running = new Set<{
    readonly report: (progress: CopyProgress) => void;
    readonly end: PromiseWithResolvers<CopyResult>;
    readonly digest: string;
    readonly name: string;
  }>();
  let reads = 0;

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
      start(change = {}) {
        const { sourceDigest } = key(change);
        return copies.start(
          key(change),
          async (signal, onProgress) => {
            begun.push(`${name} ${sourceDigest}`);
            const end = Promise.withResolvers<CopyResult>();
            const copy = { report: onProgress, end, digest: sourceDigest, name };
            running.add(copy);
            signal.addEventListener('abort', () => {
              aborted.push(name);
              end.reject(signal.reason);
            });
            return await end.promise.finally(() => running.delete(copy));
          },
          () => {
            reads += 1;
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
      report: (progress) => {
        for (const copy of running) copy.report(progress);
      },
      reads: () => reads,
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
  it('continues a copy on another replica when one replica preempts it', async () => {
    const { a, b, backup, clock } = createFixture({ maxCopies: 1 });
    const first = a.start({ namespace: 'busy' }).wait(neverAborted);
    await settle();
    const second = b.start({ namespace: 'busy' }).wait(neverAborted);
    await clock.advance(121_000);
    assert.deepEqual(backup.begun, ['a sha256:a']);

    const other = 'backup.test/acme/alpine:3.20';
    const wanted = a.start({ target: other, sourceDigest: 'sha256:b', namespace: 'shop' });
    await clock.advance(3_000);

    assert.deepEqual(backup.begun, ['a sha256:a', 'a sha256:b', 'b sha256:a']);
    backup.finish();
    await clock.advance(3_000);
    assert.deepEqual(await wanted.wait(neverAborted), { ...copied, digest: 'sha256:b' });
    assert.deepEqual(await second, copied);
    assert.deepEqual(await first, copiedElsewhere);
  });

  it('makes one copy for two replicas, and the other replica finds it in the backup', async () => {
    const { a, b, backup, clock, leases } = createFixture();
    const first = a.start().wait(neverAborted);
    await settle();
    const second = b.start().wait(neverAborted);
    await clock.advance(3_000);

    backup.finish();
    await clock.advance(1_500);

    assert.deepEqual(await first, copied);
    assert.deepEqual(await second, copiedElsewhere);
    assert.deepEqual(backup.begun, ['a sha256:a']);
    assert.equal(leases.at(target), undefined);
  });

  it('reports the progress of the lease holder on every replica', async () => {
    const { a, b, backup, clock } = createFixture();
    const own = a.start();
    await clock.advance(1_000);
    backup.report(fortyPercent);
    const theirs = b.start();
    void theirs.wait(neverAborted);
    await clock.advance(4_000);

    const same = { elapsedMs: 5_000, idleMs: 4_000, now: fortyPercent };
    assert.deepEqual(own.progress(), { ...same, bytesPerSecond: 8, remainingMs: 7_500 });
    // Published a second ago; the time since then is added.
    assert.deepEqual(theirs.progress(), { ...same, bytesPerSecond: 10, remainingMs: 5_000 });
    backup.finish();
  });

  it('reports the progress of the lease holder to a repeated request without a call to the API server', async () => {
    const { a, b, backup, clock, leases } = createFixture();
    a.start();
    await settle();
    backup.report(fortyPercent);
    void b.start().wait(neverAborted);
    await clock.advance(4_500);
    const before = leases.requests.length;

    assert.deepEqual(b.start().progress()?.now, fortyPercent);
    await settle();
    assert.equal(leases.requests.length, before);
    backup.finish();
  });

  it('ends the wait when the caller is aborted, and the copy of the other replica continues', async () => {
    const { a, b, backup, clock } = createFixture();
    const first = a.start().wait(neverAborted);
    await settle();
    const caller = new AbortController();
    const second = b.start().wait(caller.signal);
    await clock.advance(2_000);

    caller.abort();

    assert.equal(await second, undefined);
    backup.finish();
    assert.deepEqual(await first, copied);
  });

  it('renews the lease of a copy as long as the copy takes, also without progress', async () => {
    const { a, b, backup, clock } = createFixture();
    const first = a.start().wait(neverAborted);
    await settle();
    const second = b.start().wait(neverAborted);

    await clock.advance(600_000);

    assert.deepEqual(backup.begun, ['a sha256:a']);
    backup.finish();
    await clock.advance(2_000);
    assert.deepEqual([await first, await second], [copied, copiedElsewhere]);
  });

  it('takes over a lease that was not renewed for 15 seconds, not before', async () => {
    const { b, backup, clock, leases } = createFixture();
    leases.put({
      ...key(),
      holder: 'dead',
      reading: { idleMs: 0, elapsedMs: 9, now: fortyPercent },
      version: '0',
    });
    const wait = b.start().wait(neverAborted);

    await clock.advance(14_000);
    assert.deepEqual(backup.begun, []);
    await clock.advance(4_000);

    assert.deepEqual(backup.begun, ['b sha256:a']);
    assert.equal(leases.at(target)?.holder, 'b');
    backup.finish();
    assert.deepEqual(await wait, copied);
  });

  it('lets only one of two replicas take over an expired lease', async () => {
    const { a, b, backup, clock, leases } = createFixture();
    leases.put({ ...key(), holder: 'dead', reading: { idleMs: 0, elapsedMs: 9 }, version: '0' });
    const waits = [a.start().wait(neverAborted), b.start().wait(neverAborted)];
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

  it('does not take over a lease after an outage of the API server, during which no holder can renew', async () => {
    const { a, b, backup, clock, leases } = createFixture();
    void a.start().wait(neverAborted);
    await clock.advance(700);
    void b.start().wait(neverAborted);
    await clock.advance(3_200);

    leases.answer('unavailable');
    await clock.advance(13_100);
    // From here on b reads before a renews: the lease has not changed for 15 seconds.
    leases.answer(undefined);
    await clock.advance(60_000);

    assert.deepEqual(backup.begun, ['a sha256:a']);
    backup.finish();
  });

  it('makes a copy without a lease when the API server does not answer', async () => {
    const { a, backup, leases } = createFixture();
    leases.answer('unavailable');
    const wait = a.start().wait(neverAborted);
    await settle();

    backup.finish();

    assert.deepEqual(await wait, copied);
  });

  it('takes the lease of a running copy as soon as the API server answers', async () => {
    const { a, b, backup, clock, leases } = createFixture();
    leases.answer('unavailable');
    const first = a.start().wait(neverAborted);
    await clock.advance(3_000);
    leases.answer(undefined);
    await clock.advance(2_000);
    assert.equal(leases.at(target)?.holder, 'a');

    const second = b.start().wait(neverAborted);
    await clock.advance(30_000);
    backup.finish();
    await clock.advance(2_000);

    assert.deepEqual(backup.begun, ['a sha256:a']);
    assert.deepEqual([await first, await second], [copied, copiedElsewhere]);
    assert.equal(leases.at(target), undefined);
  });

  it('continues one of two copies that began without a lease, and the other replica joins it', async () => {
    const { a, b, backup, clock, leases } = createFixture();
    leases.answer('unavailable');
    const waits = [a.start().wait(neverAborted), b.start().wait(neverAborted)];
    await settle();
    assert.deepEqual(backup.begun, ['a sha256:a', 'b sha256:a']);
    leases.answer(undefined);

    await clock.advance(2_000);
    assert.deepEqual(backup.aborted, ['b']);
    backup.finish();
    await clock.advance(3_000);

    assert.deepEqual(await Promise.all(waits), [copied, copiedElsewhere]);
    assert.equal(leases.at(target), undefined);
  });

  it('stops waiting for another replica when its lease cannot be read for a full lease period', async () => {
    const { a, b, backup, clock, leases } = createFixture();
    a.start();
    await settle();
    const wait = b.start().wait(neverAborted);
    await clock.advance(3_000);

    leases.answer('unavailable');
    await clock.advance(20_000);

    assert.deepEqual(backup.begun, ['a sha256:a', 'b sha256:a']);
    backup.finish();
    assert.deepEqual(await wait, copied);
  });

  it('aborts a copy that another replica took over, and waits for that replica', async () => {
    const { a, backup, clock, leases } = createFixture();
    const wait = a.start().wait(neverAborted);
    await settle();
    leases.put({
      ...key(),
      holder: 'c',
      reading: { idleMs: 0, elapsedMs: 1, now: fortyPercent },
      version: 'c1',
    });

    await clock.advance(5_000);
    assert.deepEqual(backup.aborted, ['a']);
    assert.equal(leases.at(target)?.holder, 'c');
    leases.delete(target);
    await clock.advance(3_000);

    // The backup lacks the copy: c failed.
    assert.deepEqual(backup.begun, ['a sha256:a', 'a sha256:a']);
    backup.finish();
    assert.deepEqual(await wait, copied);
  });

  it('creates a removed lease again and continues the copy', async () => {
    const { a, backup, clock, leases } = createFixture();
    const wait = a.start().wait(neverAborted);
    await settle();
    leases.delete(target);

    await clock.advance(5_000);

    assert.equal(leases.at(target)?.holder, 'a');
    assert.deepEqual(backup.aborted, []);
    backup.finish();
    assert.deepEqual(await wait, copied);
    assert.equal(leases.at(target), undefined);
  });

  it('keeps the lease of a copy when answers of the API server are lost', async () => {
    const { a, backup, clock, leases } = createFixture();
    const wait = a.start().wait(neverAborted);
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

  it('reuses a lease of its own whose creation was not confirmed', async () => {
    const { a, backup, leases } = createFixture();
    leases.loseNextAnswer();
    const first = a.start().wait(neverAborted);
    await settle();
    assert.equal(leases.at(target)?.holder, 'a');
    backup.fail(new CloneError('SOURCE_UNAVAILABLE', 'gone'));
    await assert.rejects(first, { code: 'SOURCE_UNAVAILABLE' });

    const second = a.start().wait(neverAborted);
    await settle();
    backup.finish();

    assert.deepEqual(await second, copied);
    assert.equal(leases.at(target), undefined);
  });

  it('makes the copy itself after another replica failed', async () => {
    const { a, b, backup, clock, leases } = createFixture();
    const first = a.start().wait(neverAborted);
    await settle();
    const second = b.start().wait(neverAborted);
    await clock.advance(2_000);

    backup.fail(new CloneError('SOURCE_DENIED', 'denied'));
    await assert.rejects(first, { code: 'SOURCE_DENIED' });
    await clock.advance(2_000);
    assert.deepEqual(backup.begun, ['a sha256:a', 'b sha256:a']);
    backup.finish();

    assert.deepEqual(await second, copied);
    assert.equal(leases.at(target), undefined);
  });

  it('queues a copy of another digest behind the lease of the same tag', async () => {
    const { a, b, backup, clock } = createFixture();
    a.start();
    await settle();
    backup.report(fortyPercent);
    const other = b.start({ sourceDigest: 'sha256:b' });
    const wait = other.wait(neverAborted);
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

  it('takes no slot while it waits for another replica', async () => {
    const { a, b, backup, clock } = createFixture({ maxCopies: 1 });
    a.start();
    await settle();
    void b.start().wait(neverAborted);
    await clock.advance(2_000);

    void b
      .start({ target: 'backup.test/acme/redis:8', sourceDigest: 'sha256:r' })
      .wait(neverAborted);
    await settle();

    assert.deepEqual(backup.begun, ['a sha256:a', 'b sha256:r']);
    backup.finish();
  });

  it('leaves the wait for a queued copy when another replica makes it', async () => {
    const { a, b, backup, clock } = createFixture({ maxCopies: 1 });
    const busy = { target: 'backup.test/acme/redis:8', sourceDigest: 'sha256:r' };
    b.start(busy);
    await settle();
    const queued = b.start();
    const wait = queued.wait(neverAborted);
    await settle();
    assert.equal(queued.progress(), undefined);
    a.start();
    await settle();
    backup.report(fortyPercent);
    assert.deepEqual(queued.place(), { ahead: 0 });
    await clock.advance(4_500);
    assert.deepEqual(queued.progress()?.now, fortyPercent);
    assert.equal(queued.place(), undefined);

    backup.finish('a');
    await clock.advance(2_000);

    assert.deepEqual(await wait, copiedElsewhere);
    assert.deepEqual(backup.begun, ['b sha256:r', 'a sha256:a']);
    backup.finish();
  });

  it('does not call the API server when no caller waits', async () => {
    const { a, b, backup, clock, leases } = createFixture();
    a.start();
    await settle();
    const caller = new AbortController();
    const wait = b.start().wait(caller.signal);
    await clock.advance(2_000);
    caller.abort();
    await wait;
    backup.finish();
    await clock.advance(3_000);
    const before = leases.requests.length;

    await clock.advance(100_000);

    assert.equal(leases.requests.length, before);
  });

  it('does not read leases for a queued copy that no caller waits for', async () => {
    const { b, backup, clock, leases } = createFixture({ maxCopies: 1 });
    b.start({ target: 'backup.test/acme/redis:8', sourceDigest: 'sha256:r' });
    await settle();
    const caller = new AbortController();
    const wait = b.start().wait(caller.signal);
    await clock.advance(2_000);
    assert.ok(leases.requests.includes('list'));
    caller.abort();
    await wait;
    await clock.advance(2_000);
    const before = leases.requests.filter((call) => call === 'list').length;

    await clock.advance(60_000);

    assert.equal(leases.requests.filter((call) => call === 'list').length, before);
    backup.finish();
  });

  it('reads the backup once for all callers that waited for the copy of another replica', async () => {
    const { a, b, backup, clock } = createFixture();
    const first = a.start().wait(neverAborted);
    await settle();
    const waits = [1, 2, 3].map(() => b.start().wait(neverAborted));
    await clock.advance(3_000);
    const before = backup.reads();

    backup.finish();
    await clock.advance(1_500);

    assert.deepEqual(await Promise.all(waits), [copiedElsewhere, copiedElsewhere, copiedElsewhere]);
    assert.equal(backup.reads() - before, 1);
    await first;
  });

  it('does not wait for a lease that it read long ago', async () => {
    const { a, b, backup, clock } = createFixture();
    a.start();
    await settle();
    const caller = new AbortController();
    const wait = b.start().wait(caller.signal);
    await clock.advance(2_000);
    caller.abort();
    await wait;
    await clock.advance(2_000);
    backup.finish();
    await clock.advance(60_000);

    const next = b.start({ sourceDigest: 'sha256:b' });
    await settle();

    assert.deepEqual(backup.begun, ['a sha256:a', 'b sha256:b']);
    assert.notEqual(next.progress(), undefined);
    backup.finish();
  });

  it('publishes the progress of a queued copy that began without a waiting caller', async () => {
    const { a, b, backup, clock, leases } = createFixture({ maxCopies: 1 });
    b.start({ target: 'backup.test/acme/redis:8', sourceDigest: 'sha256:r' });
    await settle();
    const caller = new AbortController();
    const wait = b.start().wait(caller.signal);
    a.start();
    await clock.advance(4_000);
    caller.abort();
    await wait;
    backup.fail(new CloneError('SOURCE_UNAVAILABLE', 'gone'));
    await settle();
    backup.report(fortyPercent);

    await clock.advance(2_000);

    assert.equal(leases.at(target)?.holder, 'b');
    assert.deepEqual(leases.at(target)?.reading.now, fortyPercent);
    backup.finish();
  });

  it('leaves no lease when the copy ends during a renewal', async () => {
    const { a, backup, clock, leases } = createFixture();
    const wait = a.start().wait(neverAborted);
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

  it('keeps the lease of another replica that took over right before the copy ended', async () => {
    const { a, backup, clock, leases } = createFixture();
    const wait = a.start().wait(neverAborted);
    await clock.advance(2_500);
    leases.put({ ...key(), holder: 'c', reading: { idleMs: 0, elapsedMs: 1 }, version: 'c1' });

    backup.finish();

    assert.deepEqual(await wait, copied);
    assert.equal(leases.at(target)?.holder, 'c');
  });

  it('releases each lease when its copy ends and begins no copy after a stop without abort', async () => {
    const { a, backup, leases } = createFixture();
    const wait = a.start().wait(neverAborted);
    await settle();

    a.copies.stop({ abort: false });
    assert.equal(leases.at(target)?.holder, 'a');
    backup.finish();
    await a.copies.idle();

    assert.deepEqual(await wait, copied);
    assert.equal(leases.at(target), undefined);
    await assert.rejects(async () => await a.start().wait(neverAborted), { code: 'INTERRUPTED' });
  });

  it('releases its leases and aborts its copies after a stop with abort', async () => {
    const { a, leases } = createFixture();
    const wait = a.start().wait(neverAborted);
    await settle();

    a.copies.stop({ abort: true });

    await assert.rejects(wait, { code: 'INTERRUPTED' });
    await a.copies.idle();
    assert.equal(leases.at(target), undefined);
  });

  it('removes expired leases and no others until the replica is stopped', async () => {
    const { a, b, backup, clock, leases } = createFixture();
    const abandoned = { target: 'backup.test/acme/old:1', sourceDigest: 'sha256:o' };
    leases.put({
      ...abandoned,
      holder: 'dead',
      reading: { idleMs: 0, elapsedMs: 0 },
      version: '0',
    });
    b.start();
    void a.copies.watch();
    await settle();
    assert.ok(leases.at(abandoned.target));

    await clock.advance(300_000);

    assert.equal(leases.at(abandoned.target), undefined);
    assert.equal(leases.at(target)?.holder, 'b');
    backup.finish();
    a.copies.stop({ abort: false });
    await settle();
    const before = leases.requests.length;
    await clock.advance(600_000);
    assert.equal(leases.requests.length, before);
  });
});
