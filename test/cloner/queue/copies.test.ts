import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type Copies,
  type CopyKey,
  type CopyResult,
  createCopies,
} from '../../../lib/cloner/queue/copies.ts';
import { CloneError } from '../../../lib/index.ts';

const { signal: forever } = new AbortController();
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

/** Lets everything run that can run without the outside. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i += 1) await Promise.resolve();
}

describe('createCopies', () => {
  it('does one copy for all who want the same', async () => {
    const copies = createCopies();
    const { work, finish, calls } = createWork();

    const waits = [1, 2, 3].map(() => copies.start(key('t'), work).wait(forever));
    finish();

    assert.deepEqual(await Promise.all(waits), [result, result, result]);
    assert.equal(calls(), 1);
  });

  it('copies again when the first copy is done', async () => {
    const copies = createCopies();
    const { work, finish, calls } = createWork();
    finish();
    await copies.start(key('t'), work).wait(forever);

    await copies.start(key('t'), work).wait(forever);

    assert.equal(calls(), 2);
  });

  it('goes on when nobody waits any more, and whoever asks next joins it', async () => {
    const copies = createCopies();
    const { work, finish, calls } = createWork();
    const first = await copies.start(key('t'), work).wait(AbortSignal.abort());
    assert.equal(first, undefined);

    const second = copies.start(key('t'), work).wait(forever);
    finish();

    assert.deepEqual(await second, result);
    assert.equal(calls(), 1);
  });

  it('lets another digest for the same tag wait for its turn', async () => {
    const copies = createCopies();
    const [one, two] = [createWork(), createWork()];
    const first = copies.start(key('t', 'sha256:a'), one.work);
    const second = copies.start(key('t', 'sha256:b'), two.work);
    await one.started;
    await settle();
    assert.equal(two.calls(), 0);
    assert.equal(second.progress(), undefined);

    one.finish();
    two.finish();

    assert.deepEqual(await Promise.all([first.wait(forever), second.wait(forever)]), [
      result,
      result,
    ]);
  });

  it('runs as many at once as it may, the others in the order of their arrival', async () => {
    const copies = createCopies({ maxCopies: 2 });
    const works = [createWork(), createWork(), createWork()];
    for (const [index, { work }] of works.entries()) copies.start(key(`t${index}`), work);
    await Promise.all([works[0]?.started, works[1]?.started]);
    await settle();
    assert.equal(works[2]?.calls(), 0);

    works[0]?.finish();

    await works[2]?.started;
  });

  it('tells a failure that came after all had been answered to the next who asks, once', async () => {
    const copies = createCopies();
    const { work, fail, started } = createWork();
    await copies.start(key('t'), work).wait(AbortSignal.abort());
    await started;
    fail(new CloneError('SOURCE_DENIED', 'denied'));
    await settle();

    await assert.rejects(copies.start(key('t'), work).wait(forever), { code: 'SOURCE_DENIED' });
    const next = createWork();
    next.finish();

    assert.deepEqual(await copies.start(key('t'), next.work).wait(forever), result);
  });

  it('does not tell a failure twice that somebody waited for', async () => {
    const copies = createCopies();
    const failing = createWork();
    const wait = copies.start(key('t'), failing.work).wait(forever);
    failing.fail(new CloneError('BACKUP_DENIED', 'denied'));
    await assert.rejects(wait, { code: 'BACKUP_DENIED' });
    const next = createWork();
    next.finish();

    assert.deepEqual(await copies.start(key('t'), next.work).wait(forever), result);
  });

  it('forgets a failure after a minute', async () => {
    let time = 0;
    const copies = createCopies({ now: () => time });
    const failing = createWork();
    await copies.start(key('t'), failing.work).wait(AbortSignal.abort());
    failing.fail(new CloneError('SOURCE_DENIED', 'denied'));
    await settle();
    time = 60_001;
    const next = createWork();
    next.finish();

    assert.deepEqual(await copies.start(key('t'), next.work).wait(forever), result);
  });

  it('stopped, finishes what runs and begins nothing more', async () => {
    const copies = createCopies({ maxCopies: 1 });
    const [running, waiting] = [createWork(), createWork()];
    const first = copies.start(key('a'), running.work).wait(forever);
    const second = copies.start(key('b'), waiting.work).wait(forever);
    await running.started;

    copies.stop({ abort: false });
    running.finish();

    assert.deepEqual(await first, result);
    await assert.rejects(second, { code: 'INTERRUPTED' });
    await copies.idle();
    assert.equal(waiting.calls(), 0);
  });

  it('stopped hard, ends what runs', async () => {
    const copies = createCopies();
    const { work, started } = createWork();
    const wait = copies.start(key('a'), work).wait(forever);
    await started;

    copies.stop({ abort: true });

    await assert.rejects(wait, { code: 'INTERRUPTED' });
    await copies.idle();
  });
});

describe('createCopies for many', () => {
  it('lets namespaces take turns, and says which place one has', async () => {
    const copies = createCopies({ maxCopies: 1 });
    const works = ['a', 'b', 'c', 'd'].map((target) => ({ target, ...createWork() }));
    const places = works.map(({ target, work }) =>
      copies.start({ ...key(target), namespace: target === 'd' ? 'shop' : 'crowd' }, work).place(),
    );

    assert.deepEqual(places, [undefined, { ahead: 0 }, { ahead: 1 }, { ahead: 0 }]);
    works[0]?.finish();
    await works[3]?.started;
    assert.equal(works[1]?.calls(), 0);
    works[3]?.finish();
    await works[1]?.started;
    assert.deepEqual(copies.counts(), { running: 1, waiting: 1 });
  });

  it('has an endless copy wait when another namespace comes, and tells so', async () => {
    let time = 0;
    const copies = createCopies({ maxCopies: 1, now: () => time });
    const shop = createWork();
    const interrupted = Promise.withResolvers<unknown>();
    const endless = { ...key('endless'), namespace: 'crowd' };
    const copy = copies.start(endless, async (signal, share) => {
      share({ phase: 'copy', doneBytes: 1, totalBytes: 1_000_000 });
      signal.addEventListener('abort', () => interrupted.resolve(signal.reason));
      return await createWork().work(signal, share);
    });
    const told = copy.wait(forever);
    await settle();
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
    assert.deepEqual(await wanted.wait(forever), result);
    await settle();
    assert.equal(copy.place(), undefined);
    copies.stop({ abort: true });
    await assert.rejects(told, { code: 'INTERRUPTED', message: 'image-cloner is shutting down' });
  });

  it('expects a turn when the copies that run are done', async () => {
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

  it('is still there for the next client when one has given up', async () => {
    const copies = createCopies();
    const { work, finish, calls } = createWork();
    for (let retry = 0; retry < 11; retry += 1) {
      assert.equal(await copies.start(key('t'), work).wait(AbortSignal.abort()), undefined);
    }
    finish();
    await copies.idle();

    assert.equal(calls(), 1);
  });

  it('does not try again for a controller what failed a moment ago', async () => {
    let time = 0;
    const copies = createCopies({ now: () => time });
    const failing = createWork();
    const wait = copies.start(key('t'), failing.work).wait(forever);
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

    assert.deepEqual(await copies.start(controllers, next.work).wait(forever), result);
  });

  it('tries again at once for a person', async () => {
    const copies = createCopies();
    const failing = createWork();
    const wait = copies.start(key('t'), failing.work).wait(forever);
    failing.fail(new CloneError('SOURCE_REFUSED', 'no'));
    await assert.rejects(wait, { code: 'SOURCE_REFUSED' });
    const next = createWork();
    next.finish();

    assert.deepEqual(await copies.start(key('t'), next.work).wait(forever), result);
  });

  describe("where it fails with a namespace's own credentials", () => {
    const denied = new CloneError('SOURCE_DENIED', 'it does not let us read t');
    const as = (credentialNamespace?: string): CopyKey => ({
      ...key('t'),
      isInteractive: false,
      ...(credentialNamespace !== undefined && {
        namespace: credentialNamespace,
        credentialNamespace,
      }),
    });

    it('tells nobody else, and is tried again for others', async () => {
      const copies = createCopies();
      const [failing, working] = [createWork(), createWork()];
      failing.fail(denied);
      working.finish();
      await assert.rejects(copies.start(as('evil'), failing.work).wait(forever), denied);
      assert.throws(() => copies.start(as('evil'), failing.work), { code: 'SOURCE_DENIED' });

      assert.deepEqual(await copies.start(as('shop'), working.work).wait(forever), result);
    });

    it('keeps what nobody has heard for the same namespace', async () => {
      const copies = createCopies();
      const [failing, working] = [createWork(), createWork()];
      assert.equal(
        await copies.start(as('evil'), failing.work).wait(AbortSignal.abort()),
        undefined,
      );
      failing.fail(denied);
      working.finish();
      await settle();

      assert.deepEqual(await copies.start(as(), working.work).wait(forever), result);
      await assert.rejects(copies.start(as('evil'), working.work).wait(forever), denied);
    });

    it('is made anew by those who had joined it, each with his own', async () => {
      const copies = createCopies();
      const [failing, working] = [createWork(), createWork()];
      const first = copies.start(as('evil'), failing.work).wait(forever);
      const joined = [as('shop'), as()].map((other) =>
        copies.start(other, working.work).wait(forever),
      );
      await failing.started;

      failing.fail(denied);
      working.finish();

      await assert.rejects(first, denied);
      assert.deepEqual(await Promise.all(joined), [result, result]);
      assert.equal(failing.calls(), 1);
    });

    it('is not made anew where the backup is at fault', async () => {
      const copies = createCopies();
      const [failing, other] = [createWork(), createWork()];
      const full = new CloneError('BACKUP_REFUSED', 'it has no space left');
      const first = copies.start(as('evil'), failing.work).wait(forever);
      const joined = copies.start(as('shop'), other.work).wait(forever);
      failing.fail(full);

      await assert.rejects(first, full);
      await assert.rejects(joined, full);
      assert.equal(other.calls(), 0);
    });
  });

  it('tries again at once where only the password was wrong', async () => {
    const copies = createCopies();
    const failing = createWork();
    const wait = copies.start(key('t'), failing.work).wait(forever);
    failing.fail(new CloneError('BACKUP_DENIED', 'no'));
    await assert.rejects(wait, { code: 'BACKUP_DENIED' });
    const next = createWork();
    next.finish();

    const again = copies.start({ ...key('t'), isInteractive: false }, next.work);

    assert.deepEqual(await again.wait(forever), result);
  });
});
