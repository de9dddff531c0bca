import { setTimeout as delay } from 'node:timers/promises';

const pollMs = 25;

/**
 * Polls until the result is neither `undefined` nor `false`, and resolves with it.
 * Rejects after `withinMs` with the name of the condition.
 */
export async function eventually<Answer>(
  what: string,
  check: () => Answer | Promise<Answer>,
  withinMs = 30_000,
): Promise<Exclude<Awaited<Answer>, undefined | false>> {
  const end = performance.now() + withinMs;
  for (;;) {
    const answer = await check();
    if (isAnswer(answer)) return answer;
    if (performance.now() > end) throw new Error(`not within ${withinMs / 1000} s: ${what}`);
    await delay(pollMs);
  }
}

function isAnswer<Answer>(answer: Answer): answer is Exclude<Answer, undefined | false> {
  return answer !== undefined && answer !== false;
}
