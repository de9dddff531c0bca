import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createReferrers } from '../../../lib/cloner/backup/referrers.ts';
import type { CopyReferrers, ReferrersRequest } from '../../../lib/index.ts';
import { drainMicrotasks } from '../../support/drain-microtasks.ts';
import { createMemoryLog } from '../../support/memory-log.ts';

const request: ReferrersRequest = {
  source: { domain: 'ghcr.io', path: 'a/b', tag: '1', digest: `sha256:${'a'.repeat(64)}` },
  sourceAccess: { side: 'source' },
  target: { domain: 'backup.test', path: 'acme/b' },
  targetAccess: { side: 'backup' },
};
function toRequest(n: number): ReferrersRequest {
  const digest = `sha256:${String(n).padStart(64, '0')}`;
  return { ...request, source: { ...request.source, digest } };
}

const copied = { digest: request.source.digest, bytes: 1, warnings: [] };
const warning = `ghcr.io/a/b:1@sha256:${'a'.repeat(64)}: the image was copied, its signatures were not`;

function start(
  copyFound: CopyReferrers,
  find = (): Promise<CopyReferrers> => Promise.resolve(copyFound),
) {
  const stopping = new AbortController();
  const log = createMemoryLog();
  const cloner = { findReferrers: find };
  const referrers = createReferrers({
    cloner,
    logger: log.logger,
    stopping: stopping.signal,
    now: () => 0,
  });
  return { referrers, stopping, log };
}

describe('createReferrers', () => {
  it('reads signatures while the image is copied and copies them after it', async () => {
    const events: string[] = [];
    const image = Promise.withResolvers<typeof copied>();
    const { referrers } = start(
      () => Promise.resolve(events.push('copy')).then(() => undefined),
      () => {
        events.push('find');
        return Promise.resolve(() => Promise.resolve(events.push('copy')).then(() => undefined));
      },
    );

    const result = referrers.copyBehind(request, 'team', () => {
      events.push('image');
      return image.promise;
    });
    await drainMicrotasks();
    const before = [...events];
    image.resolve(copied);

    assert.deepEqual(await (await result).referrers, []);
    assert.deepEqual(before.toSorted(), ['find', 'image']);
    assert.equal(events.at(-1), 'copy');
  });

  it('returns the image before its signatures are copied', async () => {
    const { referrers } = start(() => Promise.withResolvers<never>().promise);

    const result = await referrers.copyBehind(request, 'team', () => Promise.resolve(copied));

    assert.equal(result.digest, copied.digest);
  });

  it('turns any failure of signatures into one warning and one line of the log', async () => {
    for (const find of [
      () => Promise.reject(new Error('no list')),
      () => Promise.resolve(() => Promise.reject(new Error('no copy'))),
    ]) {
      const { referrers, log } = start(() => Promise.resolve(), find);

      const result = await referrers.copyBehind(request, 'team', () => Promise.resolve(copied));

      assert.deepEqual(await result.referrers, [warning]);
      assert.equal(log.lines.length, 1);
    }
  });

  it('ends the search and logs nothing when the image cannot be copied', async () => {
    let isAborted = false;
    const { referrers, log } = start(
      () => assert.fail('nothing is copied'),
      async (...given: readonly unknown[]) => {
        const [, signal] = given;
        assert.ok(signal instanceof AbortSignal);
        const { promise, reject } = Promise.withResolvers<never>();
        signal.addEventListener('abort', () => {
          isAborted = true;
          reject(signal.reason);
        });
        return await promise;
      },
    );

    await assert.rejects(
      referrers.copyBehind(request, 'team', () => Promise.reject(new TypeError('no image'))),
      { name: 'TypeError', message: 'no image' },
    );
    await drainMicrotasks();

    assert.equal(isAborted, true);
    assert.deepEqual(log.lines, []);
  });

  it('copies the signatures of two images at once', async () => {
    let running = 0;
    const open = Promise.withResolvers<void>();
    const { referrers } = start(async () => {
      running += 1;
      await open.promise;
    });

    const all = ['a', 'b', 'c'].map((namespace, index) =>
      referrers.copyAgain(toRequest(index), namespace),
    );
    await drainMicrotasks();
    const atOnce = running;
    open.resolve();
    await Promise.all(all);

    assert.deepEqual([atOnce, running], [2, 3]);
  });

  it('copies the signatures of one image at once for one namespace, so that the others get a slot', async () => {
    let running = 0;
    const { referrers } = start(async () => {
      running += 1;
      await Promise.withResolvers<never>().promise;
    });

    for (const n of [1, 2, 3]) void referrers.copyAgain(toRequest(n), 'hostile');
    await drainMicrotasks();
    const ofOne = running;
    void referrers.copyAgain(toRequest(4), 'team');
    await drainMicrotasks();

    assert.deepEqual([ofOne, running], [1, 2]);
  });

  it('drops signatures at a shutdown, without a warning', async () => {
    const { referrers, stopping, log } = start(async (signal) => {
      const { promise, reject } = Promise.withResolvers<never>();
      signal.addEventListener('abort', () => reject(signal.reason));
      await promise;
    });

    const result = referrers.copyAgain(request, 'team');
    await drainMicrotasks();
    stopping.abort(new Error('shutdown'));

    assert.deepEqual(await result, []);
    assert.deepEqual(log.lines, []);
  });

  it('drops signatures without a warning for an adapter that does not support them', async () => {
    const { signal } = new AbortController();
    const referrers = createReferrers({
      cloner: {},
      logger: createMemoryLog().logger,
      stopping: signal,
      now: () => 0,
    });

    assert.deepEqual(await referrers.copyAgain(request, 'team'), []);
  });
});
