export interface Deadline {
  readonly ms: number;
  /** Makes the error that the deadline rejects with. */
  readonly error: () => Error;
  /** Ends the work earlier, with the signal's reason. */
  readonly signal: AbortSignal;
}

/** Rejects after `ms`, even if `work` ignores its signal. */
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

/** The result of the promise, or the signal's reason if it is aborted first. */
export async function untilAborted<Result>(
  promise: Promise<Result>,
  signal: AbortSignal,
): Promise<Result> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  // Not `throwIfAborted`: without a listener the promise's rejection would end the process.
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/**
 * Aborts the signal of `work` only `ms` after `signal`, so that a request that creates something can still return what the
 * caller must remove.
 */
export async function withGracePeriod<Result>(
  signal: AbortSignal,
  ms: number,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  signal.throwIfAborted();
  const late = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const onAbort = (): void => {
    timer = setTimeout(() => late.abort(signal.reason), ms);
  };
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await work(late.signal);
  } finally {
    signal.removeEventListener('abort', onAbort);
    clearTimeout(timer);
  }
}
