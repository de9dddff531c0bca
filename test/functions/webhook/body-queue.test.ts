import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createBodyQueue, hasTooManyParts } from '../../../functions/webhook/body-queue.ts';

const ordinary = 64 * 1024;
const mebi = 1024 * 1024;

interface Bench {
  readonly begun: readonly string[];
  /** In the order in which they were told to make room; none of them obeys. */
  readonly told: readonly string[];
  begin(name: string, bytes: number | undefined): Promise<void>;
  end(name: string): void;
}

function createBench(now?: () => number): Bench {
  const inTurn = createBodyQueue(now);
  const begun: string[] = [];
  const told: string[] = [];
  const gates = new Map<string, () => void>();
  return {
    begun,
    told,
    begin: (name, bytes) =>
      inTurn(bytes, async ({ over }) => {
        begun.push(name);
        over?.addEventListener('abort', () => told.push(name));
        const { promise, resolve } = Promise.withResolvers<void>();
        gates.set(name, resolve);
        await promise;
      }),
    end: (name) => gates.get(name)?.(),
  };
}

/** Lets everything run that can run without the outside. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i += 1) await Promise.resolve();
}

describe('createBodyQueue', () => {
  it('lets in 16 MiB of large bodies at once, and every ordinary one', async () => {
    const { begun, begin, end } = createBench();

    const all = [
      begin('1', 7 * mebi),
      begin('2', 8 * mebi),
      begin('3', 2 * mebi),
      begin('4', ordinary + 1),
      begin('ordinary', ordinary),
    ];
    await settle();
    assert.deepEqual(begun.toSorted(), ['1', '2', '4', 'ordinary']);

    end('1');
    await all[0];
    await settle();
    assert.deepEqual(begun.slice(-1), ['3']);

    for (const name of ['2', '3', '4', 'ordinary']) end(name);
    await Promise.all(all);
  });

  it('lets four in at once that do not say how long they are', async () => {
    const { begun, begin, end } = createBench();
    const all = ['1', '2', '3', '4', '5'].map((name) => begin(name, undefined));
    await settle();
    assert.deepEqual(begun, ['1', '2', '3', '4']);

    end('2');
    await all[1];
    await settle();
    assert.deepEqual(begun.at(-1), '5');

    for (const name of begun) end(name);
    await Promise.all(all);
  });

  it('keeps nobody waiting behind a few that are hardly large and take long', async () => {
    const { begun, begin, end } = createBench();
    const all = Array.from({ length: 40 }, (_, n) => begin(`evil ${n}`, 300 * 1024));

    all.push(begin('shop', 400 * 1024));
    await settle();

    assert.deepEqual(begun.at(-1), 'shop');
    for (const name of begun) end(name);
    await Promise.all(all);
  });

  it('lets the smallest of those in first that wait', async () => {
    const { begun, begin, end } = createBench();
    const all = [begin('a', 8 * mebi), begin('b', 8 * mebi)];
    all.push(begin('c', 8 * mebi), begin('d', mebi), begin('e', 2 * mebi), begin('f', mebi));
    await settle();

    end('a');
    await all[0];
    await settle();

    assert.deepEqual(begun, ['a', 'b', 'd', 'f', 'e']);
    for (const name of ['b', 'd', 'e', 'f']) end(name);
    await all[1];
    await settle();
    end('c');
    await Promise.all(all);
  });

  describe('where a body never arrives', () => {
    it('has as many of the oldest make room after two seconds as who waits needs', async (t) => {
      t.mock.timers.enable({ apis: ['setTimeout'] });
      let time = 0;
      const { begun, told, begin, end } = createBench(() => time);
      const all = [begin('a', 3 * mebi), begin('b', 3 * mebi)];
      await settle();
      time = 1_000;
      all.push(begin('c', 8 * mebi));
      await settle();
      all.push(begin('shop', 5 * mebi));
      await settle();
      t.mock.timers.tick(999);
      assert.deepEqual(told, []);

      time = 2_000;
      t.mock.timers.tick(1);
      t.mock.timers.tick(1);

      assert.deepEqual(told, ['a']);
      end('a');
      await all[0];
      await settle();
      assert.deepEqual(begun, ['a', 'b', 'c', 'shop']);
      t.mock.timers.tick(60_000);
      assert.deepEqual(told, ['a']);
      for (const name of ['b', 'c', 'shop']) end(name);
      await Promise.all(all);
    });

    it('has nobody make room while nobody waits', async (t) => {
      t.mock.timers.enable({ apis: ['setTimeout'] });
      let time = 0;
      const { told, begin, end } = createBench(() => time);
      const all = [begin('a', 8 * mebi), begin('b', 8 * mebi)];
      await settle();

      time = 60_000;
      t.mock.timers.tick(60_000);

      assert.deepEqual(told, []);
      for (const name of ['a', 'b']) end(name);
      await Promise.all(all);
    });
  });

  it('lets the next one in after one that failed', async () => {
    const inTurn = createBodyQueue();
    const fail = (): Promise<never> => Promise.reject(new Error('cut off'));

    for (let index = 0; index < 5; index += 1) {
      await assert.rejects(inTurn(undefined, fail), { message: 'cut off' });
    }

    assert.equal(await inTurn(undefined, () => Promise.resolve('let in')), 'let in');
  });
});

describe('hasTooManyParts', () => {
  it('counts objects and lists of a large body', () => {
    assert.equal(hasTooManyParts('[]'.repeat(500_000)), false);
    assert.equal(hasTooManyParts('{}'.repeat(500_001)), true);
    assert.equal(hasTooManyParts('a'.repeat(600_000)), false);
  });
});
