/** A clock in which a second passes between any two looks. */
export function createSteppingClock(): () => number {
  let time = 0;
  return () => {
    time += 1_000;
    return time;
  };
}
