import { ConfigError } from '../../lib/errors.ts';

/** Waits for all `work`, and rejects with one `ConfigError` that lists `problems` and every problem of the work. */
export async function allOrProblems<const Work extends readonly unknown[]>(
  problems: readonly string[],
  work: Work,
): Promise<{ -readonly [Index in keyof Work]: Awaited<Work[Index]> }> {
  const settled = await Promise.allSettled(work);
  const all = settled.flatMap((result) =>
    result.status === 'rejected' && result.reason instanceof ConfigError
      ? result.reason.problems
      : [],
  );
  const distinct = new Set([...problems, ...all]);
  if (distinct.size > 0) throw new ConfigError([...distinct]);
  return await Promise.all(work);
}

/** The result of a function that throws, as `work` of `allOrProblems`. */
export async function attempt<Result>(read: () => Result): Promise<Result> {
  return await Promise.resolve(read());
}
