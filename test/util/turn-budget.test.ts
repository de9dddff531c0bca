import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createTurnBudget } from '../../lib/util/turn-budget.ts';

/** A budget whose turns the test begins, and what has resolved so far. */
function open(max: number) {
  const turns: (() => void)[] = [];
  const done: string[] = [];
  const budget = createTurnBudget({ max, onNextTurn: (callback) => turns.push(callback) });
  return {
    done,
    scheduled: () => turns.length,
    spend: (name: string, amount: number): void => {
      void budget.spend(amount).then(() => done.push(name));
    },
    /** Begins the next turn, if one is scheduled, and lets everything resolve that can. */
    turn: async (): Promise<void> => {
      turns.shift()?.();
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    },
  };
}

describe('createTurnBudget', () => {
  it('work within the budget begins in the same turn', async () => {
    const { spend, turn, done } = open(100);

    spend('a', 60);
    spend('b', 60);
    spend('c', 1);
    await new Promise((resolve) => {
      setImmediate(resolve);
    });

    assert.deepEqual(done, ['a', 'b']);
    await turn();
    assert.deepEqual(done, ['a', 'b', 'c']);
  });

  it('waiting work is spread over turns, in its order, and no newer work overtakes it', async () => {
    const { spend, turn, done } = open(100);
    for (const name of ['a', 'b', 'c', 'd']) spend(name, 100);

    await turn();
    spend('e', 1);
    assert.deepEqual(done, ['a', 'b']);
    await turn();
    assert.deepEqual(done, ['a', 'b', 'c']);
    await turn();
    await turn();

    assert.deepEqual(done, ['a', 'b', 'c', 'd', 'e']);
  });

  it('work that is larger than the budget takes a turn of its own', async () => {
    const { spend, turn, done } = open(100);

    spend('a', 1_000);
    spend('b', 1_000);
    await turn();

    assert.deepEqual(done, ['a', 'b']);
  });

  it('schedules no turn while there is nothing to do', async () => {
    const { spend, turn, scheduled } = open(100);

    spend('a', 1);
    assert.equal(scheduled(), 1);
    await turn();

    assert.equal(scheduled(), 0);
  });
});
