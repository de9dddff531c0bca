import type { BackoffOptions } from '../../../util/backoff.ts';
import type { Cooldown } from '../../../util/cooldown.ts';
import { RegistryError } from '../errors/index.ts';
import { isOwn } from './request.ts';

export interface LimitsOptions extends Pick<BackoffOptions, 'sleep'> {
  readonly registry: URL;
  /** Pauses after a 429, by `clientKey`; of other origins that the registry refers to, by origin. */
  readonly cooldown: Cooldown;
  /** Names the registry and the credentials: a registry limits each of its clients. */
  readonly clientKey: string;
  /** A request fails if the registry asks for a longer pause. */
  readonly maxRetryAfterMs: number;
  /** Whether images can do without its requests: a limit of these must not delay the others. @default false */
  readonly isOptional?: boolean;
}

/** The rate limits of one client. They count for all of its requests to an origin. */
export interface Limits {
  /** Waits until `url` may be called. Rejects with `RegistryError` if that takes too long. */
  wait(url: URL, step: string, signal: AbortSignal): Promise<void>;
  /** Takes a 429 response of `url`. */
  start(url: URL, ms: number): void;
}

export function createLimits(options: LimitsOptions): Limits {
  const {
    registry,
    cooldown,
    clientKey,
    maxRetryAfterMs,
    isOptional = false,
    sleep,
  } = options; /** A limit belongs to the origin that answered. Other origins see no credentials, so all clients share their limits. */
  const keyOf = (url: URL): string => (isOwn(url, registry) ? clientKey : url.origin);
  const ownKeyOf = (url: URL): string =>
    isOptional ? JSON.stringify(['optional', keyOf(url)]) : keyOf(url);

  return {
    async wait(url, step, signal) {
      const keys = [keyOf(url), ownKeyOf(url)];
      const ms = Math.max(...keys.map((key) => cooldown.remainingMs(key)));
      if (ms > maxRetryAfterMs) {
        const message = `${step}: its rate limit ends in ${Math.ceil(ms / 1000)} s`;
        const host = isOwn(url, registry) ? undefined : url.host;
        throw new RegistryError('RATE_LIMITED', message, { retryAfterMs: ms, host });
      }
      if (ms > 0) await sleep(ms, signal);
    },
    start: (url, ms) => cooldown.start(ownKeyOf(url), ms),
  };
}
