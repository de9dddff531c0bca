/** A clock in which this time passes between any two looks. */
export function createSteppingClock(stepMs: number): () => number {
  let time = 0;
  return () => {
    time += stepMs;
    return time;
  };
}
