import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createTtlCache, type TtlCache } from '../../lib/util/ttl-cache.ts';
import { drainMicrotasks } from '../support/drain-microtasks.ts';

interface Fixture {
  readonly cache: TtlCache<string>;
  readonly advance: (ms: number) => void;
}

/** Keeps every answer but `none` for 10 s. */
function createFixture(maxEntries = 10): Fixture {
  let time = 0;
  return {
    cache: createTtlCache({
      ttlMs: 10_000,
      isKept: (answer) => answer !== 'none',
      maxEntries,
      now: () => time,
    }),
    advance: (ms) => {
      time += ms;
    },
  };
}

const answers = (answer: string) => (): Promise<string> => Promise.resolve(answer);
const unexpected = (): Promise<string> => assert.fail('unexpected load');

describe('createTtlCache', () => {
  it('keeps an answer for its time from the start of the load', async () => {
    const { cache, advance } = createFixture();
    const load = Promise.withResolvers<string>();
    const first = cache.get('a', () => load.promise);
    advance(4_000);
    load.resolve('one');
    assert.equal(await first, 'one');

    advance(5_999);
    assert.equal(await cache.get('a', unexpected), 'one');
    advance(1);
    assert.equal(await cache.get('a', answers('two')), 'two');
  });

  it('shares a load between concurrent callers', async () => {
    const { cache } = createFixture();
    const load = Promise.withResolvers<string>();
    const both = [cache.get('a', () => load.promise), cache.get('a', unexpected)];

    load.resolve('one');

    assert.deepEqual(await Promise.all(both), ['one', 'one']);
  });

  it('loads again after a failure, and after an answer that is not kept', async () => {
    const { cache } = createFixture();

    await assert.rejects(
      cache.get('a', () => Promise.reject(new Error('down'))),
      /down/,
    );
    assert.equal(await cache.get('a', answers('none')), 'none');

    assert.equal(await cache.get('a', answers('one')), 'one');
  });

  it('does not wait for a load that never ends longer than an answer is kept', async () => {
    const { cache, advance } = createFixture();
    void cache.get('a', () => new Promise(() => undefined));

    advance(10_000);

    assert.equal(await cache.get('a', answers('one')), 'one');
  });

  it('drops the kept answer when a reload fails or its answer is not kept', async () => {
    const { cache } = createFixture();
    await cache.get('a', answers('one'));

    await cache.reload('a', answers('none'));
    assert.equal(await cache.get('a', answers('two')), 'two');
    await assert.rejects(
      cache.reload('a', () => Promise.reject(new Error('down'))),
      /down/,
    );

    assert.equal(await cache.get('a', answers('three')), 'three');
  });

  it('keeps the answer of the load that began last', async () => {
    const { cache } = createFixture();
    const slow = Promise.withResolvers<string>();
    const earlier = cache.get('a', () => slow.promise);

    await cache.reload('a', answers('new'));
    slow.resolve('old');

    assert.equal(await earlier, 'old');
    assert.equal(await cache.get('a', unexpected), 'new');
  });

  it('joins a reload that is on its way', async () => {
    const { cache } = createFixture();
    await cache.get('a', answers('old'));
    const reload = Promise.withResolvers<string>();
    void cache.reload('a', () => reload.promise);

    const joined = cache.get('a', unexpected);
    reload.resolve('new');

    assert.equal(await joined, 'new');
  });

  it('deletes by prefix what is older than a second, also on its way', async () => {
    const { cache, advance } = createFixture();
    await cache.get('team/a', answers('old'));
    void cache.get('team/b', () => new Promise(() => undefined));
    await cache.get('other/a', answers('old'));
    advance(999);
    await cache.get('team/c', answers('young'));
    advance(1);

    cache.deletePrefix('team/');

    assert.equal(cache.known('team/a'), undefined);
    assert.equal(cache.known('team/b'), undefined);
    assert.equal(await cache.known('team/c'), 'young');
    assert.equal(await cache.known('other/a'), 'old');
  });

  it('evicts the oldest entry above its maximum', async () => {
    const { cache } = createFixture(2);
    for (const key of ['a', 'b', 'c']) await cache.get(key, answers(key));

    assert.equal(cache.known('a'), undefined);
    assert.equal(await cache.known('c'), 'c');
  });

  it('leaves no unhandled rejection behind when a load fails that no caller waits for', async () => {
    const { cache } = createFixture();
    const load = Promise.withResolvers<string>();
    const abandoned = cache.get('a', () => load.promise);
    const winner = await Promise.race([abandoned, Promise.resolve('timeout')]);

    load.reject(new Error('down'));
    await drainMicrotasks();

    assert.equal(winner, 'timeout');
    assert.equal(cache.known('a'), undefined);
  });
});
