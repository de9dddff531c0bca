import { setImmediate } from 'node:timers/promises';

/**
 * Resolves once the microtask queue is empty: what has not happened by then waits for a timer, a socket or the test. For code in
 * memory this is exact, however many promises it chains, and the only event to wait for before asserting that something did not happen.
 */
export async function drainMicrotasks(): Promise<void> {
  await setImmediate();
}
