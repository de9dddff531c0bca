/** What the tokens of all clients take together: registries say how long they are, and whoever writes a manifest chooses the registries. */
export interface TokenBudget {
  /** Counts `characters` more; where that is too much in all, those that were counted longest ago are dropped. */
  spend(characters: number, drop: () => void): void;
}

/** Two thousand of those that token servers send. */
const maxCharacters = 8 * 1024 * 1024;
/** Of an entry, whatever its length. */
const ownCharacters = 512;

export function createTokenBudget(max = maxCharacters): TokenBudget {
  const spent = new Set<{ readonly characters: number; readonly drop: () => void }>();
  let total = 0;

  return {
    spend(characters, drop) {
      const item = { characters: characters + ownCharacters, drop };
      spent.add(item);
      total += item.characters;
      for (const oldest of spent) {
        if (total <= max) return;
        spent.delete(oldest);
        total -= oldest.characters;
        oldest.drop();
      }
    },
  };
}
