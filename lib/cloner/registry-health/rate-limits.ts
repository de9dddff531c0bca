import { CloneError, isFailureOf, registryCode } from '../../errors.ts';
import type { RegistryAccess } from '../../ports/index.ts';
import { createBoundedMap } from '../../util/bounded-map.ts';
import { formatDuration } from '../../util/duration.ts';

/** Who asks whom: a registry limits each of its clients. */
export interface LimitedQuestion {
  readonly domain: string;
  readonly access: RegistryAccess;
  /** A limit that ends within this time is waited out. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Registries that want to be left alone for a while: until then they are asked nothing, and it is said how long that is. */
export interface RateLimits {
  /** Throws what the question throws, or `CloneError` `…_RATE_LIMITED` where it is not asked. */
  ask<Answer>(question: LimitedQuestion, work: () => Promise<Answer>): Promise<Answer>;
}

export interface RateLimitsDeps {
  readonly now: () => number;
  /** @default a timer */
  readonly sleep?: ((ms: number, signal: AbortSignal) => Promise<void>) | undefined;
}

interface Limit {
  /** Doubled with each refusal, for those that do not say how long. */
  readonly pauseMs: number;
  readonly until: number;
}

const firstPauseMs = 2_000;
const maxPauseMs = 300_000;
/** A registry that says a day is tried again sooner: the limit may have been lifted. */
const maxQuietMs = 3_600_000;
const maxLimits = 1_000;

export function createRateLimits({ now, sleep = sleepFor }: RateLimitsDeps): RateLimits {
  const limits = createBoundedMap<string, Limit>(maxLimits);

  async function ask<Answer>(
    question: LimitedQuestion,
    work: () => Promise<Answer>,
  ): Promise<Answer> {
    const { timeoutMs, signal } = question;
    const key = keyOf(question);
    const startedAt = now();
    for (;;) {
      const ms = leftOf(key);
      const spentMs = now() - startedAt;
      if (ms > 0 && ms + spentMs > timeoutMs) throw toError(question, ms);
      if (ms > 0) await sleep(ms, signal);
      try {
        const answer = await work();
        limits.delete(key);
        return answer;
      } catch (error) {
        if (!isLimitOf(question, error)) throw error;
        note(key, error.retryAfterMs);
        if (leftOf(key) + (now() - startedAt) > timeoutMs) throw error;
      }
    }
  }

  function leftOf(key: string): number {
    const limit = limits.get(key);
    return limit === undefined ? 0 : Math.max(0, limit.until - now());
  }

  function note(key: string, wantedMs: number | undefined): void {
    const known = limits.get(key);
    const isSilent = wantedMs === undefined || wantedMs <= 0;
    // Twenty that were refused together are no repetition.
    if (isSilent && leftOf(key) > 0) return;
    const pauseMs = Math.min(maxPauseMs, (known?.pauseMs ?? firstPauseMs / 2) * 2);
    const ms = isSilent ? pauseMs : Math.min(maxQuietMs, wantedMs);
    const until = now() + Math.max(ms, leftOf(key));
    limits.set(key, { pauseMs, until });
  }

  return { ask };
}

function keyOf({ domain, access: { side, credentials } }: LimitedQuestion): string {
  return JSON.stringify([side, domain, credentials?.username, credentials?.password]);
}

/** A question to the backup may end with what the source had said before. */
function isLimitOf({ access: { side } }: LimitedQuestion, error: unknown): error is CloneError {
  return isFailureOf(side, error, ['RATE_LIMITED']);
}

function toError({ domain, access }: LimitedQuestion, ms: number): CloneError {
  const isSource = access.side === 'source';
  const name = isSource ? domain : `the backup registry ${domain}`;
  const advice =
    isSource && access.credentials === undefined
      ? '; who logs in with SOURCE_AUTH_FILE has a limit of his own'
      : '';
  return new CloneError(
    registryCode(access.side, 'RATE_LIMITED'),
    `${name} limits how often it may be asked, for ${formatDuration(ms)} more${advice}`,
    { retryAfterMs: ms },
  );
}

async function sleepFor(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), ms);
  const onAbort = (): void => reject(signal.reason);
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
}
