import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createBodyQueue } from '../../../functions/webhook/body-queue.ts';
import { drainMicrotasks } from '../../support/drain-microtasks.ts';

const unqueued = 64 * 1024;
const mebi = 1024 * 1024;

interface Harness {
  readonly begun: readonly string[];
  /** In the order of their eviction; none of them ends because of it. */
  readonly evicted: readonly string[];
  begin(name: string, bytes: number | undefined): Promise<void>;
  end(name: string): void;
}

function createHarness(now?: () => number): Harness {
  const withSlot = createBodyQueue(now);
  const begun: string[] = [];
  const evicted: string[] = [];
  const gates = new Map<string, () => void>();
  return {
    begun,
    evicted,
    begin: (name, bytes) =>
      withSlot(bytes, async ({ signal }) => {
        begun.push(name);
        signal?.addEventListener('abort', () => evicted.push(name));
        const { promise, resolve } = Promise.withResolvers<void>();
        gates.set(name, resolve);
        await promise;
      }),
    end: (name) => gates.get(name)?.(),
  };
}

describe('createBodyQueue', () => {
  it('admits 16 MiB of large review bodies at once, and every small one', async () => {
    const { begun, begin, end } = createHarness();

    const all = [
      begin('1', 7 * mebi),
      begin('2', 8 * mebi),
      begin('3', 2 * mebi),
      begin('4', unqueued + 1),
      begin('unqueued', unqueued),
    ];
    await drainMicrotasks();
    assert.deepEqual(begun.toSorted(), ['1', '2', '4', 'unqueued']);

    end('1');
    await all[0];
    await drainMicrotasks();
    assert.deepEqual(begun.slice(-1), ['3']);

    for (const name of ['2', '3', '4', 'unqueued']) end(name);
    await Promise.all(all);
  });

  it('admits four review bodies without a content length at once', async () => {
    const { begun, begin, end } = createHarness();
    const all = ['1', '2', '3', '4', '5'].map((name) => begin(name, undefined));
    await drainMicrotasks();
    assert.deepEqual(begun, ['1', '2', '3', '4']);

    end('2');
    await all[1];
    await drainMicrotasks();
    assert.deepEqual(begun.at(-1), '5');

    for (const name of begun) end(name);
    await Promise.all(all);
  });

  it('admits a review body of 400 KiB beside 40 slow ones of 300 KiB', async () => {
    const { begun, begin, end } = createHarness();
    const all = Array.from({ length: 40 }, (_, n) => begin(`evil ${n}`, 300 * 1024));

    all.push(begin('shop', 400 * 1024));
    await drainMicrotasks();

    assert.deepEqual(begun.at(-1), 'shop');
    for (const name of begun) end(name);
    await Promise.all(all);
  });

  it('admits the smallest waiting review body first', async () => {
    const { begun, begin, end } = createHarness();
    const all = [begin('a', 8 * mebi), begin('b', 8 * mebi)];
    all.push(begin('c', 8 * mebi), begin('d', mebi), begin('e', 2 * mebi), begin('f', mebi));
    await drainMicrotasks();

    end('a');
    await all[0];
    await drainMicrotasks();

    assert.deepEqual(begun, ['a', 'b', 'd', 'f', 'e']);
    for (const name of ['b', 'd', 'e', 'f']) end(name);
    await all[1];
    await drainMicrotasks();
    end('c');
    await Promise.all(all);
  });

  describe('eviction of bodies that never arrive', () => {
    it('evicts as many of the oldest review bodies after two seconds as a waiting one needs', async (t) => {
      t.mock.timers.enable({ apis: ['setTimeout'] });
      let time = 0;
      const { begun, evicted, begin, end } = createHarness(() => time);
      const all = [begin('a', 3 * mebi), begin('b', 3 * mebi)];
      await drainMicrotasks();
      time = 1_000;
      all.push(begin('c', 8 * mebi));
      await drainMicrotasks();
      all.push(begin('shop', 5 * mebi));
      await drainMicrotasks();
      t.mock.timers.tick(999);
      assert.deepEqual(evicted, []);

      time = 2_000;
      t.mock.timers.tick(1);
      t.mock.timers.tick(1);

      assert.deepEqual(evicted, ['a']);
      end('a');
      await all[0];
      await drainMicrotasks();
      assert.deepEqual(begun, ['a', 'b', 'c', 'shop']);
      t.mock.timers.tick(60_000);
      assert.deepEqual(evicted, ['a']);
      for (const name of ['b', 'c', 'shop']) end(name);
      await Promise.all(all);
    });

    it('evicts no review body while none waits', async (t) => {
      t.mock.timers.enable({ apis: ['setTimeout'] });
      let time = 0;
      const { evicted, begin, end } = createHarness(() => time);
      const all = [begin('a', 8 * mebi), begin('b', 8 * mebi)];
      await drainMicrotasks();

      time = 60_000;
      t.mock.timers.tick(60_000);

      assert.deepEqual(evicted, []);
      for (const name of ['a', 'b']) end(name);
      await Promise.all(all);
    });
  });

  it('admits the next review body after one that failed', async () => {
    const withSlot = createBodyQueue();
    const fail = (): Promise<never> => Promise.reject(new Error('cut off'));

    for (let index = 0; index < 5; index += 1) {
      await assert.rejects(withSlot(undefined, fail), { message: 'cut off' });
    }

    assert.equal(await withSlot(undefined, () => Promise.resolve('admitted')), 'admitted');
  });
});
