const isCi = process.env['CI'] !== undefined;

/** Runs of a property: all of them in CI, a fifth on a developer's machine. */
export function propertyRuns(inCi: number): { readonly numRuns: number } {
  return { numRuns: isCi ? inCi : Math.ceil(inCi / 5) };
}

/** Step through every place at which a process may end: each place in CI, each third on a developer's machine. */
export const interruptionStep = isCi ? 1 : 3;
