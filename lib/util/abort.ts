export interface Deadline {
  readonly ms: number;
  /** What is thrown when the time is over. */
  readonly error: () => Error;
  /** Ends the work earlier, with its own reason. */
  readonly signal: AbortSignal;
}

/** Runs `work` for at most `ms`, even if it does not listen to its signal. */
export async function withDeadline<Result>(
  { ms, error, signal }: Deadline,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const over = new AbortController();
  const timer = setTimeout(() => over.abort(error()), ms);
  const within = AbortSignal.any([signal, over.signal]);
  try {
    return await untilAborted(work(within), within);
  } finally {
    clearTimeout(timer);
  }
}

/** The promise's result; rejects with the signal's reason if that is first. */
export async function untilAborted<Result>(
  promise: Promise<Result>,
  signal: AbortSignal,
): Promise<Result> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  // Not `throwIfAborted`: nobody would listen to the promise then, and its failure would end the process.
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
