import type { Repository } from '../../../image/reference.ts';
import type { RegistryAccess } from '../../../ports/index.ts';
import { createBoundedMap } from '../../../util/bounded-map.ts';
import { monotonicClock } from '../../../util/clock.ts';
import { createCooldown } from '../../../util/cooldown.ts';
import { type Authorizer, createAuthorizer, createTokenBudget } from '../auth/index.ts';
import type { FindEndpoint, Http } from '../http/index.ts';
import { createRepositoryClient, type RepositoryClient } from './repository-client.ts';
import { createTransport, type TransportOptions } from './transport.ts';

export interface ClientPoolOptions
  extends Pick<TransportOptions, 'sleep' | 'onAnswer'>,
    Partial<Pick<TransportOptions, 'random' | 'wallClock'>> {
  readonly http: Http;
  readonly findEndpoint: FindEndpoint;
  /** A monotonic clock. */
  readonly now?: () => number;
}

/** How long one is ready to wait for a registry. */
type RetryPolicy = Pick<TransportOptions, 'maxAttempts' | 'maxRetryAfterMs'>;

/** What is known of one client of one registry; all its repositories share it. */
interface Connection {
  readonly registry: URL;
  readonly authorizer: Authorizer;
}

/** Opens clients for repositories. Rejects with `RegistryError`. */
export type OpenRepository = (
  repository: Repository,
  access: RegistryAccess,
  retryPolicy: RetryPolicy,
  signal: AbortSignal,
) => Promise<RepositoryClient>;

/** Hosts are invented by whoever writes a manifest: the one that was not used for longest is forgotten. */
const maxConnections = 500;
/** A registry that asks for a day is tried again sooner: the limit may have been lifted. */
const maxCooldownMs = 300_000;

export function createClientPool(options: ClientPoolOptions): OpenRepository {
  const { http, findEndpoint, sleep, onAnswer } = options;
  const { now = monotonicClock.now, wallClock = Date.now, random = Math.random } = options;
  const cooldown = createCooldown({ now, maxMs: maxCooldownMs, maxKeys: maxConnections });
  const connections = createBoundedMap<string, Connection>(maxConnections);
  // Strangers' tokens do not take the place of the backup's.
  const tokenBudgets = { source: createTokenBudget(), backup: createTokenBudget() };

  return async function openRepository({ domain, path }, access, retryPolicy, signal) {
    const { side, credentials } = access;
    // Asked each time: of a registry that was down it is not known for good what it speaks.
    const registry = await findEndpoint(domain, signal);
    const identity = [credentials?.username, credentials?.password];
    const key = JSON.stringify([registry.href, side, ...identity]);
    const connection = connections.get(key) ?? {
      registry,
      authorizer: createAuthorizer({
        http,
        registry,
        credentials,
        now,
        wallClock,
        tokenBudget: tokenBudgets[side],
        isConfigured: side === 'backup',
      }),
    };
    connections.set(key, connection);
    const send = createTransport({
      http,
      ...connection,
      ...retryPolicy,
      cooldown,
      clientKey: key,
      sleep,
      random,
      wallClock,
      ...(onAnswer !== undefined && { onAnswer }),
    });
    return createRepositoryClient(send, registry, path);
  };
}
