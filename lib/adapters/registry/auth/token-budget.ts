/** Bounds the memory for the tokens of all clients: token servers choose the length, and authors of manifests the registries. */
export interface TokenBudget {
  /** Adds an entry of `characters`; drops the oldest entries until the total fits. */
  spend(characters: number, drop: () => void): void;
}

/** About two thousand tokens of usual length. */
const maxCharacters = 8 * 1024 * 1024;
/** Overhead of an entry. */
const overheadCharacters = 512;

export function createTokenBudget(max = maxCharacters): TokenBudget {
  const entries = new Set<{ readonly characters: number; readonly drop: () => void }>();
  let total = 0;

  return {
    spend(characters, drop) {
      const entry = { characters: characters + overheadCharacters, drop };
      entries.add(entry);
      total += entry.characters;
      for (const oldest of entries) {
        if (total <= max) return;
        entries.delete(oldest);
        total -= oldest.characters;
        oldest.drop();
      }
    },
  };
}
