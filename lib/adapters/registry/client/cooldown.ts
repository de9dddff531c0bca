/** The time that a registry wants to be left alone by one of its clients, after a 429. */
export interface Quiet {
  /** 0 where it may be asked. */
  remainingMs(): number;
  keep(ms: number): void;
}

/** A registry that says a day, or a million seconds, is tried again sooner: the limit may have been lifted. */
const maxQuietMs = 300_000;

export function createQuiet(now: () => number): Quiet {
  let until = 0;
  return {
    remainingMs: () => {
      const ms = Math.max(0, until - now());
      // The clock went back, and nobody can tell by how much.
      return ms > maxQuietMs ? 0 : ms;
    },
    keep: (ms) => {
      until = Math.max(until, now() + Math.min(ms, maxQuietMs));
    },
  };
}
