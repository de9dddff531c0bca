import type { Repository } from '../../../image/reference.ts';
import type { RegistryAccess } from '../../../ports/index.ts';
import { createBoundedMap } from '../../../util/bounded-map.ts';
import { type Authorizer, createAuthorizer, createTokenBudget } from '../auth/index.ts';
import type { FindEndpoint, Http } from '../http/index.ts';
import { createQuiet, type Quiet } from './cooldown.ts';
import { createRepositoryClient, type RepositoryClient } from './repository-client.ts';
import { createTransport, type TransportOptions } from './transport.ts';

export interface ClientPoolOptions
  extends Pick<TransportOptions, 'sleep' | 'random' | 'now' | 'onAnswer'> {
  readonly http: Http;
  readonly findEndpoint: FindEndpoint;
}

/** How long one is ready to wait for a registry. */
type RetryPolicy = Pick<TransportOptions, 'maxAttempts' | 'maxRetryAfterMs'>;

/** What is known of one client of one registry; all its repositories share it. */
interface Connection {
  readonly registry: URL;
  readonly authorizer: Authorizer;
  readonly quiet: Quiet;
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

export function createClientPool(options: ClientPoolOptions): OpenRepository {
  const { http, findEndpoint, now } = options;
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
        tokenBudget: tokenBudgets[side],
        isConfigured: side === 'backup',
      }),
      quiet: createQuiet(now),
    };
    connections.set(key, connection);
    const send = createTransport({ ...options, ...connection, ...retryPolicy });
    return createRepositoryClient(send, registry, path);
  };
}
