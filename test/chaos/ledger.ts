/** Promises: how often each was checked, and each breach. */
export interface Ledger {
  /** @param detail called only on a breach */
  check(promise: string, isKept: boolean, detail: () => string): void;
  broken(promise: string, detail: string): void;
  /** Counts an event that is no promise. */
  count(what: string, by?: number): void;
  readonly promises: ReadonlyMap<string, { readonly kept: number; readonly broken: number }>;
  readonly breaches: readonly string[];
  readonly counts: ReadonlyMap<string, number>;
}

export function createLedger(): Ledger {
  const promises = new Map<string, { kept: number; broken: number }>();
  const counts = new Map<string, number>();
  const breaches: string[] = [];

  function check(promise: string, isKept: boolean, detail: () => string): void {
    const entry = promises.get(promise) ?? { kept: 0, broken: 0 };
    promises.set(promise, entry);
    entry[isKept ? 'kept' : 'broken'] += 1;
    if (!isKept) breaches.push(`${promise}: ${detail()}`);
  }

  return {
    check,
    broken: (promise, detail) => check(promise, false, () => detail),
    count: (what, by = 1) => counts.set(what, (counts.get(what) ?? 0) + by),
    promises,
    breaches,
    counts,
  };
}
