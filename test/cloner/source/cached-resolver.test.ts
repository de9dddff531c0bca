import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cacheResolve } from '../../../lib/cloner/source/cached-resolver.ts';
import { CloneError, type ImageCloner, type ResolvedImage } from '../../../lib/index.ts';

const { signal } = new AbortController();
const image = { domain: 'reg.test', path: 'team/app', tag: '1' };
const found: ResolvedImage = { digest: 'sha256:d', isIndex: false };

function createCounting(answer: () => Promise<ResolvedImage | undefined>): {
  readonly cloner: ImageCloner;
  readonly asked: () => number;
} {
  let asked = 0;
  return {
    asked: () => asked,
    cloner: {
      keepsDigest: false,
      copy: () => assert.fail('nothing is copied'),
      resolve: () => {
        asked += 1;
        return answer();
      },
    },
  };
}

describe('cacheResolve', () => {
  it('asks once a minute for each tag', async () => {
    let time = 0;
    const { cloner, asked } = createCounting(async () => found);
    const { resolve } = cacheResolve(cloner, { now: () => time });

    assert.deepEqual(await resolve(image, { side: 'source' }, signal), found);
    time = 59_999;
    assert.deepEqual(await resolve(image, { side: 'source' }, signal), {
      ...found,
      isRemembered: true,
    });
    assert.equal(asked(), 1);
    time = 60_000;
    await resolve(image, { side: 'source' }, signal);

    assert.equal(asked(), 2);
  });

  it('asks anew for who wants to know what is true now, and remembers that', async () => {
    const { cloner, asked } = createCounting(async () => found);
    const { resolve } = cacheResolve(cloner, { now: () => 0 });
    await resolve(image, { side: 'source' }, signal);

    const fresh = await resolve(image, { side: 'source' }, signal, { isFresh: true });
    await resolve(image, { side: 'source' }, signal);

    assert.deepEqual(fresh, found);
    assert.equal(asked(), 2);
  });

  it('asks once for all who ask at the same time', async () => {
    const { cloner, asked } = createCounting(async () => found);
    const { resolve } = cacheResolve(cloner);

    await Promise.all([1, 2, 3].map(() => resolve(image, { side: 'source' }, signal)));

    assert.equal(asked(), 1);
  });

  it('asks for each tag, digest and credentials by themselves', async () => {
    const { cloner, asked } = createCounting(async () => found);
    const { resolve } = cacheResolve(cloner);
    const credentials = { username: 'a', password: 'b' };

    await resolve(image, { side: 'source' }, signal);
    await resolve(image, { side: 'source', credentials }, signal);
    await resolve({ ...image, tag: '2' }, { side: 'source' }, signal);

    assert.equal(asked(), 3);
  });

  it('never remembers the backup, which we change ourselves', async () => {
    const { cloner, asked } = createCounting(async () => found);
    const { resolve } = cacheResolve(cloner);

    await resolve(image, { side: 'backup' }, signal);
    await resolve(image, { side: 'backup' }, signal);

    assert.equal(asked(), 2);
  });

  it('remembers neither failures nor absence', async () => {
    const answers = [
      () => Promise.reject(new CloneError('SOURCE_UNAVAILABLE', 'down')),
      () => Promise.resolve(undefined),
      () => Promise.resolve(found),
    ];
    const { cloner } = createCounting(() => (answers.shift() ?? assert.fail)());
    const { resolve } = cacheResolve(cloner);

    await assert.rejects(resolve(image, { side: 'source' }, signal), {
      code: 'SOURCE_UNAVAILABLE',
    });
    assert.equal(await resolve(image, { side: 'source' }, signal), undefined);
    assert.deepEqual(await resolve(image, { side: 'source' }, signal), found);
  });

  it('lets one go who will not wait, without taking the answer from the others', async () => {
    const answer = Promise.withResolvers<ResolvedImage>();
    const { cloner } = createCounting(() => answer.promise);
    const { resolve } = cacheResolve(cloner);
    const reason = new Error('no time');
    const impatient = new AbortController();
    const first = resolve(image, { side: 'source' }, impatient.signal);
    const second = resolve(image, { side: 'source' }, signal);

    impatient.abort(reason);
    await assert.rejects(first, reason);
    answer.resolve(found);

    assert.deepEqual(await second, { ...found, isRemembered: true });
  });
});
