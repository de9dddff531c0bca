import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cacheResolve } from '../../../lib/cloner/source/cached-resolver.ts';
import { CloneError, type ImageCloner, type ResolvedImage } from '../../../lib/index.ts';

const { signal } = new AbortController();
const image = { domain: 'reg.test', path: 'team/app', tag: '1' };
const found: ResolvedImage = { digest: 'sha256:d', isIndex: false };

function createCountingCloner(answer: () => Promise<ResolvedImage | undefined>): {
  readonly cloner: ImageCloner;
  readonly calls: () => number;
} {
  let calls = 0;
  return {
    calls: () => calls,
    cloner: {
      copy: () => assert.fail('resolving copies nothing'),
      resolve: () => {
        calls += 1;
        return answer();
      },
    },
  };
}

describe('cacheResolve', () => {
  it('caches at most 1000 source tags, and evicts the oldest', async () => {
    const { cloner, calls } = createCountingCloner(async () => found);
    const { resolve } = cacheResolve(cloner, { now: () => 0 });

    for (let count = 0; count <= 1_000; count += 1) {
      await resolve({ ...image, tag: String(count) }, { side: 'source' }, signal);
    }
    await resolve({ ...image, tag: '1' }, { side: 'source' }, signal);
    assert.equal(calls(), 1_001);
    await resolve({ ...image, tag: '0' }, { side: 'source' }, signal);

    assert.equal(calls(), 1_002);
  });

  it('calls the source at most once a minute for each tag', async () => {
    let time = 0;
    const { cloner, calls } = createCountingCloner(async () => found);
    const { resolve } = cacheResolve(cloner, { now: () => time });

    assert.deepEqual(await resolve(image, { side: 'source' }, signal), found);
    time = 59_999;
    assert.deepEqual(await resolve(image, { side: 'source' }, signal), {
      ...found,
      isRemembered: true,
    });
    assert.equal(calls(), 1);
    time = 60_000;
    await resolve(image, { side: 'source' }, signal);

    assert.equal(calls(), 2);
  });

  it('calls the source again for isFresh and caches that answer', async () => {
    const { cloner, calls } = createCountingCloner(async () => found);
    const { resolve } = cacheResolve(cloner, { now: () => 0 });
    await resolve(image, { side: 'source' }, signal);

    const fresh = await resolve(image, { side: 'source' }, signal, { isFresh: true });
    await resolve(image, { side: 'source' }, signal);

    assert.deepEqual(fresh, found);
    assert.equal(calls(), 2);
  });

  it('forgets a cached tag that isFresh finds absent', async () => {
    const answers = [found, undefined, found];
    const { cloner, calls } = createCountingCloner(async () => answers[calls() - 1]);
    const { resolve } = cacheResolve(cloner, { now: () => 0 });
    await resolve(image, { side: 'source' }, signal);

    await resolve(image, { side: 'source' }, signal, { isFresh: true });
    const next = await resolve(image, { side: 'source' }, signal);

    assert.deepEqual(next, found);
    assert.equal(calls(), 3);
  });

  it('does not let an earlier answer replace a fresh one', async () => {
    const newer = { digest: 'sha256:e', isIndex: false };
    const slow = Promise.withResolvers<ResolvedImage>();
    const answers = [slow.promise, Promise.resolve(newer)];
    const { cloner } = createCountingCloner(() => answers.shift() ?? assert.fail());
    const { resolve } = cacheResolve(cloner, { now: () => 0 });
    const earlier = resolve(image, { side: 'source' }, signal);

    await resolve(image, { side: 'source' }, signal, { isFresh: true });
    slow.resolve(found);
    await earlier;

    const cached = await resolve(image, { side: 'source' }, signal);
    assert.deepEqual(cached, { ...newer, isRemembered: true });
  });

  it('calls the source once for concurrent requests', async () => {
    const { cloner, calls } = createCountingCloner(async () => found);
    const { resolve } = cacheResolve(cloner);

    await Promise.all([1, 2, 3].map(() => resolve(image, { side: 'source' }, signal)));

    assert.equal(calls(), 1);
  });

  it('caches source tags separately by tag and by credentials', async () => {
    const { cloner, calls } = createCountingCloner(async () => found);
    const { resolve } = cacheResolve(cloner);
    const credentials = { username: 'a', password: 'b' };

    await resolve(image, { side: 'source' }, signal);
    await resolve(image, { side: 'source', credentials }, signal);
    await resolve({ ...image, tag: '2' }, { side: 'source' }, signal);

    assert.equal(calls(), 3);
  });

  it('does not cache the backup, because copies change it', async () => {
    const { cloner, calls } = createCountingCloner(async () => found);
    const { resolve } = cacheResolve(cloner);

    await resolve(image, { side: 'backup' }, signal);
    await resolve(image, { side: 'backup' }, signal);

    assert.equal(calls(), 2);
  });

  it('does not cache failures or absent images of the source', async () => {
    const answers = [
      () => Promise.reject(new CloneError('SOURCE_UNAVAILABLE', 'down')),
      () => Promise.resolve(undefined),
      () => Promise.resolve(found),
    ];
    const { cloner } = createCountingCloner(() => (answers.shift() ?? assert.fail)());
    const { resolve } = cacheResolve(cloner);

    await assert.rejects(resolve(image, { side: 'source' }, signal), {
      code: 'SOURCE_UNAVAILABLE',
    });
    assert.equal(await resolve(image, { side: 'source' }, signal), undefined);
    assert.deepEqual(await resolve(image, { side: 'source' }, signal), found);
  });

  it('ends the wait of an aborted caller without failing the shared request to the source', async () => {
    const answer = Promise.withResolvers<ResolvedImage>();
    const { cloner } = createCountingCloner(() => answer.promise);
    const { resolve } = cacheResolve(cloner);
    const reason = new Error('no time');
    const caller = new AbortController();
    const first = resolve(image, { side: 'source' }, caller.signal);
    const second = resolve(image, { side: 'source' }, signal);

    caller.abort(reason);
    await assert.rejects(first, reason);
    answer.resolve(found);

    assert.deepEqual(await second, { ...found, isRemembered: true });
  });
});
