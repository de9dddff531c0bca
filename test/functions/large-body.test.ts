import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createBodyQueue, hasTooManyParts } from '../../functions/webhook/large-body.ts';

const ordinary = 64 * 1024;
const mebi = 1024 * 1024;

interface Bench {
  readonly begun: readonly string[];
  begin(name: string, bytes: number | undefined): Promise<void>;
  end(name: string): void;
}

function createBench(): Bench {
  const inTurn = createBodyQueue();
  const begun: string[] = [];
  const gates = new Map<string, () => void>();
  return {
    begun,
    begin: (name, bytes) =>
      inTurn(bytes, async () => {
        begun.push(name);
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
    assert.deepEqual(begun.toSorted(), ['1', '2', 'ordinary']);

    end('1');
    await all[0];
    await settle();
    assert.deepEqual(begun.slice(-2), ['3', '4']);

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
