import { CloneError, describeRegistry, isFailureOf, registryCode } from '../../errors.ts';
import type { RegistryAccess } from '../../ports/index.ts';
import { createBoundedMap } from '../../util/bounded-map.ts';
import { sleep as sleepFor } from '../../util/clock.ts';
import { createCooldown } from '../../util/cooldown.ts';
import { formatDuration } from '../../util/quantity.ts';

/** One call of a client, which its credentials identify: a registry limits each client separately. */
export interface LimitedCall {
  readonly domain: string;
  readonly access: RegistryAccess;
  /** A rate limit that ends within this time is waited out. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Sends no call to a registry until its rate limit ends. */
export interface RateLimits {
  /** Rejects as `work` does, or with `CloneError` `…_RATE_LIMITED` without a call. */
  call<Answer>(call: LimitedCall, work: () => Promise<Answer>): Promise<Answer>;
  isLimited(client: Pick<LimitedCall, 'domain' | 'access'>): boolean;
  /** One sentence for each registry that limits, without the credentials that it limits. */
  describe(): readonly string[];
}

export interface RateLimitsDeps {
  readonly now: () => number;
  /** @default a timer */
  readonly sleep?: ((ms: number, signal: AbortSignal) => Promise<void>) | undefined;
}

/** For registries that send no duration; it doubles with each refusal. */
const firstPauseMs = 2_000;
const maxPauseMs = 300_000;
/** After this time a registry is tried again, even if it sent a longer duration: the limit may have been lifted. */
const maxLimitMs = 3_600_000;
const maxLimits = 1_000;

export function createRateLimits({ now, sleep = sleepFor }: RateLimitsDeps): RateLimits {
  const limits = createCooldown({ now, maxMs: maxLimitMs, maxKeys: maxLimits });
  const pauses = createBoundedMap<string, number>(maxLimits);
  /** The keys have credentials. */
  const names = createBoundedMap<string, string>(maxLimits);

  async function call<Answer>(limited: LimitedCall, work: () => Promise<Answer>): Promise<Answer> {
    const { access, timeoutMs, signal } = limited;
    const ownKey = keyOf(limited);
    let key = ownKey;
    const startedAt = now();
    for (;;) {
      const ms = limits.remainingMs(key);
      if (ms > 0 && ms + (now() - startedAt) > timeoutMs) throw limitError(limited, ms);
      if (ms > 0) await sleep(ms, signal);
      try {
        const answer = await work();
        limits.delete(key);
        pauses.delete(key);
        return answer;
      } catch (error) {
        // A call to the backup may fail with a rate limit of the source.
        if (!isFailureOf(access.side, error, ['RATE_LIMITED'])) throw error;
        // Other calls to the registry may not need the host that limits, and the adapter spares that host.
        key = error.limitedHost === undefined ? ownKey : JSON.stringify([error.limitedHost]);
        noteLimit(
          key,
          error.retryAfterMs,
          describeRegistry(access.side, error.limitedHost ?? limited.domain),
        );
        if (limits.remainingMs(key) + (now() - startedAt) > timeoutMs) throw error;
      }
    }
  }

  function noteLimit(key: string, retryAfterMs = 0, name: string): void {
    names.set(key, name);
    const isUnsaid = retryAfterMs <= 0;
    // Concurrent calls that were refused together are no repetition.
    if (isUnsaid && limits.remainingMs(key) > 0) return;
    const pauseMs = Math.min(maxPauseMs, (pauses.get(key) ?? firstPauseMs / 2) * 2);
    pauses.set(key, pauseMs);
    limits.start(key, isUnsaid ? pauseMs : retryAfterMs);
  }

  return {
    call,
    isLimited: (client) => limits.remainingMs(keyOf(client)) > 0,
    describe() {
      const sentences = [...names.entries()].flatMap(([key, name]) => {
        const ms = limits.remainingMs(key);
        return ms > 0 ? `${name} limits requests for ${formatDuration(ms)} more` : [];
      });
      return [...new Set(sentences)];
    },
  };
}

function keyOf({
  domain,
  access: { side, credentials },
}: Pick<LimitedCall, 'domain' | 'access'>): string {
  return JSON.stringify([side, domain, credentials?.username, credentials?.password]);
}

function limitError({ domain, access }: LimitedCall, ms: number): CloneError {
  const isSource = access.side === 'source';
  const name = describeRegistry(access.side, domain);
  const advice =
    isSource && access.credentials === undefined
      ? '; authenticate (SOURCE_AUTH_FILE) to get a separate limit'
      : '';
  return new CloneError(
    registryCode(access.side, 'RATE_LIMITED'),
    `${name} limits requests for ${formatDuration(ms)} more${advice}`,
    { retryAfterMs: ms },
  );
}
