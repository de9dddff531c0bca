import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createTokenBudget } from '../../../../lib/adapters/registry/auth/token-budget.ts';

describe('createTokenBudget', () => {
  it('drops the oldest tokens until the rest fits the token budget, and no more', () => {
    const dropped: string[] = [];
    const budget = createTokenBudget(10_000);
    const spend = (name: string, characters: number): void =>
      budget.spend(characters, () => dropped.push(name));

    spend('a', 3_000);
    spend('b', 3_000);
    assert.deepEqual(dropped, []);
    spend('c', 3_000);
    assert.deepEqual(dropped, ['a']);
    spend('d', 100);
    assert.deepEqual(dropped, ['a']);
    spend('e', 5_000);
    assert.deepEqual(dropped, ['a', 'b']);
  });

  it('counts an overhead for short tokens in the token budget', () => {
    let dropped = 0;
    const budget = createTokenBudget(10_000);

    for (let n = 0; n < 100; n += 1) budget.spend(1, () => (dropped += 1));

    assert.equal(dropped, 81);
  });

  it('drops a token that alone exceeds the token budget', () => {
    let isDropped = false;

    createTokenBudget(10_000).spend(20_000, () => {
      isDropped = true;
    });

    assert.equal(isDropped, true);
  });
});
