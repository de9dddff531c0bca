import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type Copies,
  type CopyKey,
  type CopyResult,
  createCopies,
} from '../../../lib/cloner/queue/copies.ts';
import { CloneError } from '../../../lib/index.ts';
import { drainMicrotasks } from '../../support/drain-microtasks.ts';

const { signal: neverAborted } = new AbortController();
const result: CopyResult = { digest: 'sha256:d', bytes: 7, warnings: [] };

/** Work that ends when the test says so. */
function createWork(): {
  readonly started: Promise<undefined>;
  readonly finish: () => void;
  readonly fail: (error: Error) => void;
  readonly work: Parameters<Copies['start']>[1];
  readonly calls: () => number;
} {
  const started = Promise.withResolvers<undefined>();
  const ended = Promise.withResolvers<CopyResult>();
  let calls = 0;
  return {
    started: started.promise,
    finish: () => ended.resolve(result),
    fail: (error) => ended.reject(error),
    calls: () => calls,
    work: async (signal) => {
      calls += 1;
      started.resolve(undefined);
      signal.addEventListener('abort', () => ended.reject(signal.reason), { once: true });
      return await ended.promise;
    },
  };
}

const key = (target: string, sourceDigest = 'sha256:a'): CopyKey => ({ target, sourceDigest });

describe('createCopies', () => {
  it('makes one copy for concurrent requests of the same image', async () => {
    const copies = createCopies();
    const { work, finish, calls } = createWork();

    const waits = [1, 2, 3].map(() => copies.start(key('t'), work).wait(neverAborted));
    finish();

    assert.deepEqual(await Promise.all(waits), [result, result, result]);
    assert.equal(calls(), 1);
  });

  it('makes a new copy for a request after the first copy is done', async () => {
    const copies = createCopies();
    const { work, finish, calls } = createWork();
    finish();
    await copies.start(key('t'), work).wait(neverAborted);

    await copies.start(key('t'), work).wait(neverAborted);

    assert.equal(calls(), 2);
  });

  it('continues a copy that no caller waits for, and the next request joins it', async () => {
    const copies = createCopies();
    const { work, finish, calls } = createWork();
    const first = await copies.start(key('t'), work).wait(AbortSignal.abort());
    assert.equal(first, undefined);

    const second = copies.start(key('t'), work).wait(neverAborted);
    finish();

    assert.deepEqual(await second, result);
    assert.equal(calls(), 1);
  });

  it('queues a copy of another digest of the same tag', async () => {
    const copies = createCopies();
    const [one, two] = [createWork(), createWork()];
    const first = copies.start(key('t', 'sha256:a'), one.work);
    const second = copies.start(key('t', 'sha256:b'), two.work);
    await one.started;
    await drainMicrotasks();
    assert.equal(two.calls(), 0);
    assert.equal(second.progress(), undefined);

    one.finish();
    two.finish();

    assert.deepEqual(await Promise.all([first.wait(neverAborted), second.wait(neverAborted)]), [
      result,
      result,
    ]);
  });

  it('runs maxCopies copies at once and the others in order of arrival', async () => {
    const copies = createCopies({ maxCopies: 2 });
    const works = [createWork(), createWork(), createWork()];
    for (const [index, { work }] of works.entries()) copies.start(key(`t${index}`), work);
    await Promise.all([works[0]?.started, works[1]?.started]);
    await drainMicrotasks();
    assert.equal(works[2]?.calls(), 0);

    works[0]?.finish();

    await works[2]?.started;
  });

  it('reports the failure of a copy that no review received to the next request, once', async () => {
    const copies = createCopies();
    const { work, fail, started } = createWork();
    await copies.start(key('t'), work).wait(AbortSignal.abort());
    await started;
    fail(new CloneError('SOURCE_DENIED', 'denied'));
    await drainMicrotasks();

    await assert.rejects(copies.start(key('t'), work).wait(neverAborted), {
      code: 'SOURCE_DENIED',
    });
    const next = createWork();
    next.finish();

    assert.deepEqual(await copies.start(key('t'), next.work).wait(neverAborted), result);
  });

  it('starts a new copy after a failure that a waiting request received', async () => {
    const copies = createCopies();
    const failing = createWork();
    const wait = copies.start(key('t'), failing.work).wait(neverAborted);
    failing.fail(new CloneError('BACKUP_DENIED', 'denied'));
    await assert.rejects(wait, { code: 'BACKUP_DENIED' });
    const next = createWork();
    next.finish();

    assert.deepEqual(await copies.start(key('t'), next.work).wait(neverAborted), result);
  });

  it('drops the failure of a copy that no review received after a minute', async () => {
    let time = 0;
    const copies = createCopies({ now: () => time });
    const failing = createWork();
    await copies.start(key('t'), failing.work).wait(AbortSignal.abort());
    failing.fail(new CloneError('SOURCE_DENIED', 'denied'));
    await drainMicrotasks();
    time = 60_001;
    const next = createWork();
    next.finish();

    assert.deepEqual(await copies.start(key('t'), next.work).wait(neverAborted), result);
  });

  it('finishes running copies and drops queued ones after a stop without abort', async () => {
    const copies = createCopies({ maxCopies: 1 });
    const [running, waiting] = [createWork(), createWork()];
    const first = copies.start(key('a'), running.work).wait(neverAborted);
    const second = copies.start(key('b'), waiting.work).wait(neverAborted);
    await running.started;

    copies.stop({ abort: false });
    running.finish();

    assert.deepEqual(await first, result);
    await assert.rejects(second, { code: 'INTERRUPTED' });
    await copies.idle();
    assert.equal(waiting.calls(), 0);
  });

  it('aborts running copies after a stop with abort', async () => {
    const copies = createCopies();
    const { work, started } = createWork();
    const wait = copies.start(key('a'), work).wait(neverAborted);
    await started;

    copies.stop({ abort: true });

    await assert.rejects(wait, { code: 'INTERRUPTED' });
    await copies.idle();
  });
});

describe('createCopies for several namespaces', () => {
  it('alternates copies between namespaces and reports the place of each copy', async () => {
    const copies = createCopies({ maxCopies: 1 });
    const works = ['a', 'b', 'c', 'd'].map((target) => ({ target, ...createWork() }));
    const places = works.map(({ target, work }) =>
      copies.start({ ...key(target), namespace: target === 'd' ? 'shop' : 'busy' }, work).place(),
    );

    assert.deepEqual(places, [undefined, { ahead: 0 }, { ahead: 1 }, { ahead: 0 }]);
    works[0]?.finish();
    await works[3]?.started;
    assert.equal(works[1]?.calls(), 0);
    works[3]?.finish();
    await works[1]?.started;
    assert.deepEqual(copies.counts(), { running: 1, waiting: 1 });
  });

  it('queues an endless copy again when another namespace waits, and reports its new place', async () => {
    let time = 0;
    const copies = createCopies({ maxCopies: 1, now: () => time });
    const shop = createWork();
    const interrupted = Promise.withResolvers<unknown>();
    const endless = { ...key('endless'), namespace: 'busy' };
    const copy = copies.start(endless, async (signal, share) => {
      share({ phase: 'copy', doneBytes: 1, totalBytes: 1_000_000 });
      signal.addEventListener('abort', () => interrupted.resolve(signal.reason));
      return await createWork().work(signal, share);
    });
    const waiting = copy.wait(neverAborted);
    await drainMicrotasks();
    assert.equal(copy.place(), undefined);
    time = 120_000;

    const wanted = copies.start({ ...key('wanted'), namespace: 'shop' }, shop.work);

    const reason = await interrupted.promise;
    assert(reason instanceof CloneError);
    assert.equal(reason.message, 'preempted: other namespaces wait for a slot');
    await shop.started;
    assert.deepEqual(copy.place(), { ahead: 0 });
    assert.equal(copy.progress(), undefined);
    shop.finish();
    assert.deepEqual(await wanted.wait(neverAborted), result);
    await drainMicrotasks();
    assert.equal(copy.place(), undefined);
    copies.stop({ abort: true });
    await assert.rejects(waiting, {
      code: 'INTERRUPTED',
      message: 'image-cloner is shutting down',
    });
  });

  it('estimates when a queued copy begins from the running copies', async () => {
    let time = 0;
    const copies = createCopies({ maxCopies: 2, now: () => time });
    const running = [100, 400].map((totalBytes, index) => {
      const { work, started } = createWork();
      copies.start(key(`r${index}`), (signal, share) => {
        share({ phase: 'copy', doneBytes: 0, totalBytes });
        const ended = work(signal, share);
        time = 1_000;
        share({ phase: 'copy', doneBytes: 50, totalBytes });
        return ended;
      });
      return started;
    });
    await Promise.all(running);
    const waits = ['x', 'y', 'z'].map((target) => copies.start(key(target), createWork().work));
    time = 2_000;

    const expected = waits.map((copy) => copy.place()?.expectedMs);

    // At 25 bytes a second: 50 are left of the first; the second began a second later, at 50 a second: 350 are left.
    assert.deepEqual(expected, [2_000, 7_000, undefined]);
  });

  it('keeps a copy in the queue across callers that give up', async () => {
    const copies = createCopies();
    const { work, finish, calls } = createWork();
    for (let retry = 0; retry < 11; retry += 1) {
      assert.equal(await copies.start(key('t'), work).wait(AbortSignal.abort()), undefined);
    }
    finish();
    await copies.idle();

    assert.equal(calls(), 1);
  });

  it('answers a controller with the recent failure of a copy instead of another attempt', async () => {
    let time = 0;
    const copies = createCopies({ now: () => time });
    const failing = createWork();
    const wait = copies.start(key('t'), failing.work).wait(neverAborted);
    failing.fail(new CloneError('SOURCE_REFUSED', 'quay.io did not serve x/y:1'));
    await assert.rejects(wait, { code: 'SOURCE_REFUSED' });
    const next = createWork();
    next.finish();
    const controllers = { ...key('t'), isInteractive: false };

    time = 1_500;
    assert.throws(() => copies.start(controllers, next.work), {
      code: 'SOURCE_REFUSED',
      message: 'quay.io did not serve x/y:1; tried 2 s ago, next attempt in 1 s',
    });
    assert.equal(next.calls(), 0);
    time = 2_000;

    assert.deepEqual(await copies.start(controllers, next.work).wait(neverAborted), result);
  });

  it('starts a failed copy again at once for an interactive request', async () => {
    const copies = createCopies();
    const failing = createWork();
    const wait = copies.start(key('t'), failing.work).wait(neverAborted);
    failing.fail(new CloneError('SOURCE_REFUSED', 'no'));
    await assert.rejects(wait, { code: 'SOURCE_REFUSED' });
    const next = createWork();
    next.finish();

    assert.deepEqual(await copies.start(key('t'), next.work).wait(neverAborted), result);
  });

  it('keeps at most 1000 failures of copies that no review received, and evicts the oldest', async () => {
    const copies = createCopies({ maxWaiting: 2_000 });
    const failing = createWork();
    failing.fail(new CloneError('SOURCE_UNAVAILABLE', 'down'));
    const targets = Array.from({ length: 1_001 }, (_, index) => key(`t${index}`));
    for (const target of targets) copies.start(target, failing.work);
    await copies.idle();
    const next = createWork();
    next.finish();

    assert.deepEqual(await copies.start(key('t0'), next.work).wait(neverAborted), result);
    await assert.rejects(copies.start(key('t1'), next.work).wait(neverAborted), {
      code: 'SOURCE_UNAVAILABLE',
    });
    assert.equal(next.calls(), 1);
  });

  describe("createCopies with a namespace's own credentials", () => {
    const denied = new CloneError('SOURCE_DENIED', 'denied access to t');
    const keyFor = (credentialNamespace?: string): CopyKey => ({
      ...key('t'),
      isInteractive: false,
      ...(credentialNamespace !== undefined && {
        namespace: credentialNamespace,
        credentialNamespace,
      }),
    });

    it("does not share a failure of one namespace's credentials with other namespaces", async () => {
      const copies = createCopies();
      const [failing, working] = [createWork(), createWork()];
      failing.fail(denied);
      working.finish();
      await assert.rejects(copies.start(keyFor('evil'), failing.work).wait(neverAborted), denied);
      assert.throws(() => copies.start(keyFor('evil'), failing.work), { code: 'SOURCE_DENIED' });

      assert.deepEqual(await copies.start(keyFor('shop'), working.work).wait(neverAborted), result);
    });

    it("keeps a failure of one namespace's credentials for that namespace only", async () => {
      const copies = createCopies();
      const [failing, working] = [createWork(), createWork()];
      assert.equal(
        await copies.start(keyFor('evil'), failing.work).wait(AbortSignal.abort()),
        undefined,
      );
      failing.fail(denied);
      working.finish();
      await drainMicrotasks();

      assert.deepEqual(await copies.start(keyFor(), working.work).wait(neverAborted), result);
      await assert.rejects(copies.start(keyFor('evil'), working.work).wait(neverAborted), denied);
    });

    it('starts a copy again with the credentials of joined callers when the source refuses those of the first', async () => {
      const copies = createCopies();
      const [failing, working] = [createWork(), createWork()];
      const first = copies.start(keyFor('evil'), failing.work).wait(neverAborted);
      const joined = [keyFor('shop'), keyFor()].map((other) =>
        copies.start(other, working.work).wait(neverAborted),
      );
      await failing.started;

      failing.fail(denied);
      working.finish();

      await assert.rejects(first, denied);
      assert.deepEqual(await Promise.all(joined), [result, result]);
      assert.equal(failing.calls(), 1);
    });

    it('does not start a copy again for joined callers when the backup fails', async () => {
      const copies = createCopies();
      const [failing, other] = [createWork(), createWork()];
      const full = new CloneError('BACKUP_REFUSED', 'it has no space left');
      const first = copies.start(keyFor('evil'), failing.work).wait(neverAborted);
      const joined = copies.start(keyFor('shop'), other.work).wait(neverAborted);
      failing.fail(full);

      await assert.rejects(first, full);
      await assert.rejects(joined, full);
      assert.equal(other.calls(), 0);
    });
  });

  it('starts a copy again at once for a controller after the backup rejected the credentials', async () => {
    const copies = createCopies();
    const failing = createWork();
    const wait = copies.start(key('t'), failing.work).wait(neverAborted);
    failing.fail(new CloneError('BACKUP_DENIED', 'no'));
    await assert.rejects(wait, { code: 'BACKUP_DENIED' });
    const next = createWork();
    next.finish();

    const again = copies.start({ ...key('t'), isInteractive: false }, next.work);

    assert.deepEqual(await again.wait(neverAborted), result);
  });
});
