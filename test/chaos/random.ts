import { createHash } from 'node:crypto';

/** Decisions derived from the seed and from names alone: the same name always gives the same result, in any order. */
export interface Dice {
  /** In [0, 1). */
  roll(...question: readonly (string | number)[]): number;
  chance(probability: number, ...question: readonly (string | number)[]): boolean;
  /** An integer in [0, below). */
  below(below: number, ...question: readonly (string | number)[]): number;
  pick<Item>(items: readonly [Item, ...Item[]], ...question: readonly (string | number)[]): Item;
}

export function createDice(seed: string): Dice {
  const roll: Dice['roll'] = (...question) =>
    createHash('sha256')
      .update([seed, ...question].join('|'))
      .digest()
      .readUIntBE(0, 6) /
    2 ** 48;
  const below: Dice['below'] = (limit, ...question) => Math.floor(roll(...question) * limit);
  return {
    roll,
    below,
    chance: (probability, ...question) => roll(...question) < probability,
    pick: (items, ...question) => items[below(items.length, ...question)] ?? items[0],
  };
}
