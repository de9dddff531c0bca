import type { Repository } from '../../../image/reference.ts';
import type { RegistryAccess } from '../../../ports/index.ts';
import { createBoundedMap } from '../../../util/bounded-map.ts';
import { monotonicClock } from '../../../util/clock.ts';
import { createCooldown } from '../../../util/cooldown.ts';
import { type Authorizer, createAuthorizer, createTokenBudget } from '../auth/index.ts';
import type { FindEndpoint, Http } from '../http/index.ts';
import { createTransport, type TransportOptions } from '../transport/index.ts';
import { createRepositoryClient, type RepositoryClient } from './repository-client.ts';

export interface ClientPoolOptions
  extends Pick<TransportOptions, 'sleep' | 'onResponse'>,
    Partial<Pick<TransportOptions, 'random' | 'wallClock'>> {
  readonly http: Http;
  readonly findEndpoint: FindEndpoint;
  /** A monotonic clock. */
  readonly now?: () => number;
}

export type RetryPolicy = Pick<TransportOptions, 'maxAttempts' | 'maxRetryAfterMs' | 'isOptional'>;

/** Opens clients for repositories. Rejects with `RegistryError`. */
export type OpenRepository = (
  repository: Repository,
  access: RegistryAccess,
  retryPolicy: RetryPolicy,
  signal: AbortSignal,
) => Promise<RepositoryClient>;

/** A client is a registry with credentials. Authors of manifests choose the hosts, so the one unused for longest is evicted. */
const maxClients = 500;
const maxRedirectTargets = 100;
/** After this time a registry is tried again, even if it sent a longer duration: the limit may have been lifted. */
const maxCooldownMs = 300_000;

export function createClientPool(options: ClientPoolOptions): OpenRepository {
  const { http, findEndpoint } = options;
  const { now = monotonicClock.now, wallClock = Date.now, random = Math.random } = options;
  const cooldown = createCooldown({ now, maxMs: maxCooldownMs, maxKeys: maxClients });
  const authorizers = createBoundedMap<string, Authorizer>(maxClients);
  const redirectTargets = createBoundedMap<string, Authorizer>(maxRedirectTargets);
  // Tokens of sources do not evict those of the backup.
  const tokenBudgets = { source: createTokenBudget(), backup: createTokenBudget() };

  /** Authenticates anonymously at a registry that another registry redirects to. */
  function authorizerOfTarget({ origin }: URL): Authorizer {
    const authorizer =
      redirectTargets.get(origin) ??
      createAuthorizer({
        http,
        registry: new URL(origin),
        credentials: undefined,
        now,
        wallClock,
        cooldown,
        limitKey: origin,
        tokenBudget: tokenBudgets.source,
        isConfigured: false,
        isRedirectTarget: true,
      });
    redirectTargets.set(origin, authorizer);
    return authorizer;
  }

  return async function openRepository({ domain, path }, access, retryPolicy, signal) {
    const { side, credentials } = access;
    // Not cached here: the endpoint of a registry that was down can change.
    const registry = await findEndpoint(domain, signal);
    const { username, password, isIdentityToken } = credentials ?? {};
    const clientKey = JSON.stringify([registry.href, side, username, password, isIdentityToken]);
    const authorizer =
      authorizers.get(clientKey) ??
      createAuthorizer({
        http,
        registry,
        credentials,
        now,
        wallClock,
        cooldown,
        limitKey: clientKey,
        tokenBudget: tokenBudgets[side],
        isConfigured: side === 'backup',
        isRedirectTarget: false,
      });
    authorizers.set(clientKey, authorizer);
    const send = createTransport({
      ...options,
      ...retryPolicy,
      registry,
      authorizer,
      authorizerOfTarget,
      cooldown,
      clientKey,
      random,
      wallClock,
    });
    return createRepositoryClient(send, registry, path, options.sleep);
  };
}
