import { Buffer } from 'node:buffer';
import type { Credentials } from '../../../ports/index.ts';
import { untilAborted } from '../../../util/abort.ts';
import { createBoundedMap } from '../../../util/bounded-map.ts';
import { createSingleFlight } from '../../../util/single-flight.ts';
import { isTransient, RegistryError } from '../errors/index.ts';
import type { HttpResponse } from '../http/index.ts';
import { parseChallenges } from './challenge.ts';
import { isOwnRealm, parseRealm } from './realm.ts';
import type { TokenBudget } from './token-budget.ts';
import {
  type Bearer,
  createFetchToken,
  type Scope,
  step,
  type TokenServerOptions,
} from './token-server.ts';

type Challenged = Pick<HttpResponse, 'headers'>;

/** Authenticates one client at one registry, and caches the scheme and the tokens. */
export interface Authorizer {
  /** The `Authorization` header for a request, if an earlier challenge named the scheme. */
  authorization(scopes: readonly Scope[], signal: AbortSignal): Promise<string | undefined>;
  /**
   * Takes the challenge of a 401 response to a request with the header `used`. Returns a function that makes the header for
   * this challenge, whatever other challenges arrive meanwhile; `undefined` if another attempt cannot succeed.
   */
  onChallenge(
    challenge: Challenged,
    scopes: readonly Scope[],
    used: string | undefined,
  ): ((signal: AbortSignal) => Promise<string | undefined>) | undefined;
  /** The error for a 401 response if the password was not sent because its realm is another site. */
  foreignRealmError(challenge: Challenged): RegistryError | undefined;
}

export interface AuthorizerOptions extends Omit<TokenServerOptions, 'basic'> {
  readonly credentials: Credentials | undefined;
  /** A monotonic clock. */
  readonly now: () => number;
  /** Shared by all clients. */
  readonly tokenBudget: TokenBudget;
  /** The registry is the backup: its password is sent before the first challenge, which saves a request. */
  readonly isConfigured: boolean;
}

interface CachedToken {
  readonly header: string;
  readonly expiresAt: number;
}

type Scheme = { readonly kind: 'unknown' | 'basic' } | Bearer;

const maxTokens = 500;

/** Answers Basic and Bearer challenges (distribution `spec/auth/token.md`). */
export function createAuthorizer(options: AuthorizerOptions): Authorizer {
  const { registry, credentials, now, tokenBudget } = options;
  const tokens = createBoundedMap<string, CachedToken>(maxTokens);
  const fetches = createSingleFlight<string>();
  let scheme: Scheme = { kind: 'unknown' };

  const basic =
    credentials === undefined
      ? undefined
      : `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`;

  const fetchToken = createFetchToken({ ...options, basic });

  async function headerFor(
    current: Scheme,
    scopes: readonly Scope[],
    signal: AbortSignal,
  ): Promise<string | undefined> {
    if (current.kind === 'bearer') return await tokenFor(current, scopes, signal);
    return current.kind === 'basic' || options.isConfigured ? basic : undefined;
  }

  /** A token server that fails may have moved, or another server may have named it: the next request gets a new challenge. */
  function forget(current: Scheme): void {
    if (scheme === current) scheme = { kind: 'unknown' };
  }

  /** Prefers Bearer, unless its realm is another site and Basic is offered too. */
  function pickScheme({ headers }: Challenged): Scheme | undefined {
    const challenges = parseChallenges([headers['www-authenticate'] ?? []].flat());
    const offered = challenges.find(({ scheme, parameters }) => {
      return scheme === 'bearer' && parameters.has('realm');
    });
    const hasBasic = challenges.some(({ scheme }) => scheme === 'basic');
    if (offered === undefined) return hasBasic ? { kind: 'basic' } : undefined;
    const { parameters } = offered;
    const realm = parseRealm(parameters.get('realm') ?? '', registry);
    if (hasBasic && basic !== undefined && !isOwnRealm(realm, registry)) return { kind: 'basic' };
    return { kind: 'bearer', realm, service: parameters.get('service') };
  }

  /** Concurrent requests for the same scopes share one fetch. */
  async function tokenFor(
    bearer: Bearer,
    scopes: readonly Scope[],
    signal: AbortSignal,
  ): Promise<string> {
    const key = keyOf(bearer, scopes);
    const cached = tokens.get(key);
    if (cached !== undefined && now() < cached.expiresAt) return cached.header;
    return await untilAborted(
      fetches.run(key, () => fetchAndCache(key, bearer, scopes)),
      signal,
    );
  }

  async function fetchAndCache(
    key: string,
    bearer: Bearer,
    scopes: readonly Scope[],
  ): Promise<string> {
    const { value, usableMs } = await fetchToken(bearer, scopes);
    const token: CachedToken = { header: `Bearer ${value}`, expiresAt: now() + usableMs };
    tokens.set(key, token);
    tokenBudget.spend(key.length + token.header.length, () => {
      if (tokens.get(key) === token) tokens.delete(key);
    });
    return token.header;
  }

  return {
    async authorization(scopes, signal) {
      const current = scheme;
      try {
        return await headerFor(current, scopes, signal);
      } catch (error) {
        if (!signal.aborted && !isRateLimit(error)) forget(current);
        throw error;
      }
    },

    onChallenge(challenge, scopes, used) {
      const picked = pickScheme(challenge);
      if (picked === undefined) return undefined;
      scheme = picked;
      const makeHeader = async (signal: AbortSignal): Promise<string | undefined> => {
        try {
          return await headerFor(picked, scopes, signal);
        } catch (error) {
          if (!isTransient(error)) forget(picked);
          throw error;
        }
      };
      if (picked.kind !== 'bearer') {
        return basic !== undefined && used !== basic ? makeHeader : undefined;
      }
      const key = keyOf(picked, scopes);
      // The token has expired, or is older than a permission.
      if (used !== undefined && tokens.get(key)?.header === used) tokens.delete(key);
      return makeHeader;
    },

    foreignRealmError(challenge) {
      const picked = pickScheme(challenge);
      if (basic === undefined || picked?.kind !== 'bearer') return undefined;
      if (isOwnRealm(picked.realm, registry)) return undefined;
      const message = `${step}: its token server ${picked.realm.hostname} belongs to another site, so the password was not sent`;
      return new RegistryError('DENIED', message);
    },
  };
}

function isRateLimit(error: unknown): boolean {
  return error instanceof RegistryError && error.reason === 'RATE_LIMITED';
}

function keyOf({ realm, service }: Bearer, scopes: readonly Scope[]): string {
  return [realm.href, service, ...scopes.toSorted()].join(' ');
}
