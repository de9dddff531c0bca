import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createBodyQueue, hasTooManyParts } from '../../functions/webhook/large-body.ts';

const ordinary = 256 * 1024;

describe('createBodyQueue', () => {
  it('lets four large bodies in at once, and every ordinary one', async () => {
    const inTurn = createBodyQueue();
    const begun: string[] = [];
    const gates = new Map<string, () => void>();
    const begin = (name: string, bytes: number | undefined): Promise<void> =>
      inTurn(bytes, async () => {
        begun.push(name);
        const { promise, resolve } = Promise.withResolvers<void>();
        gates.set(name, resolve);
        await promise;
      });

    const all = [
      begin('1', ordinary + 1),
      begin('2', ordinary + 1),
      begin('3', undefined),
      begin('4', ordinary + 1),
      begin('5', undefined),
      begin('ordinary', ordinary),
    ];
    assert.deepEqual(begun, ['1', '2', '3', '4', 'ordinary']);

    gates.get('2')?.();
    await all[1];
    assert.deepEqual(begun.at(-1), '5');

    for (const open of gates.values()) open();
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
