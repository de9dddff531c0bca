/** Runs one call per key at a time; callers that arrive meanwhile share its result. */
export interface SingleFlight<Result> {
  /** Joins the running call for `key`, or starts `work`. */
  run(key: string, work: () => Promise<Result>): Promise<Result>;
  /** The running call for `key`. */
  pending(key: string): Promise<Result> | undefined;
}

export function createSingleFlight<Result>(): SingleFlight<Result> {
  const calls = new Map<string, Promise<Result>>();

  return {
    pending: (key) => calls.get(key),
    run(key, work) {
      const pending = calls.get(key);
      if (pending !== undefined) return pending;
      const call = work().finally(() => calls.delete(key));
      calls.set(key, call);
      return call;
    },
  };
}
