import type { CloneError } from '../errors.ts';

export interface Deadline {
  readonly ms: number;
  /** What is thrown when the time is over. */
  readonly error: () => CloneError;
  /** Ends the work earlier, with its own reason. */
  readonly signal: AbortSignal;
}

/** Runs `work` for at most `ms`, even if it does not listen to its signal. */
export async function withDeadline<Result>(
  { ms, error, signal }: Deadline,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  signal.throwIfAborted();
  const controller = new AbortController();
  const { promise: ended, reject } = Promise.withResolvers<never>();
  const end = (reason: unknown): void => {
    reject(reason);
    controller.abort(reason);
  };
  const onAbort = (): void => end(signal.reason);
  const timer = setTimeout(() => end(error()), ms);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work(controller.signal), ended]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
}
