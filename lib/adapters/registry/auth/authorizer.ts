import { Buffer } from 'node:buffer';
import type { Credentials } from '../../../ports/index.ts';
import { untilAborted } from '../../../util/abort.ts';
import { createBoundedMap } from '../../../util/bounded-map.ts';
import type { Cooldown } from '../../../util/cooldown.ts';
import { createSingleFlight } from '../../../util/single-flight.ts';
import { isTransient, RegistryError, toRegistryError } from '../errors/index.ts';
import { type Http, type HttpResponse, headerOf, readBody } from '../http/index.ts';
import { parseChallenges } from './challenge.ts';
import { isOwnRealm, parseRealm } from './realm.ts';
import { parseToken, type Token } from './token.ts';
import type { TokenBudget } from './token-budget.ts';

/** A scope of the token protocol: `repository:library/nginx:pull`. */
export type Scope = string;

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

export interface AuthorizerOptions {
  readonly http: Http;
  readonly registry: URL;
  readonly credentials: Credentials | undefined;
  /** A monotonic clock. */
  readonly now: () => number;
  /** Milliseconds since 1970, for a `Retry-After` that is a date. */
  readonly wallClock: () => number;
  /** Pauses after a 429, by `limitKey`. */
  readonly cooldown: Cooldown;
  /** Names the registry and the credentials. */
  readonly limitKey: string;
  /** Shared by all clients. */
  readonly tokenBudget: TokenBudget;
  /** The registry is the backup: its password is sent before the first challenge, which saves a request. */
  readonly isConfigured: boolean;
}

interface CachedToken {
  readonly header: string;
  readonly expiresAt: number;
}

interface Bearer {
  readonly kind: 'bearer';
  readonly realm: URL;
  readonly service: string | undefined;
}

type Scheme = { readonly kind: 'unknown' | 'basic' } | Bearer;

const maxTokenBytes = 64 * 1024;
const maxTokens = 500;
const fetchTimeoutMs = 30_000;
const step = 'authenticating';

/** Answers Basic and Bearer challenges (distribution `spec/auth/token.md`). */
export function createAuthorizer(options: AuthorizerOptions): Authorizer {
  const { http, registry, credentials, now, wallClock, tokenBudget, cooldown } = options;
  const tokens = createBoundedMap<string, CachedToken>(maxTokens);
  const fetches = createSingleFlight<string>();
  let scheme: Scheme = { kind: 'unknown' };

  const basic =
    credentials === undefined
      ? undefined
      : `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`;

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

  async function fetchToken(bearer: Bearer, scopes: readonly Scope[]): Promise<Token> {
    const isRegistry = bearer.realm.origin === registry.origin;
    const host = isRegistry ? undefined : bearer.realm.host;
    const limitKey = isRegistry
      ? options.limitKey
      : JSON.stringify([options.limitKey, bearer.realm.origin]);
    const limitMs = cooldown.remainingMs(limitKey);
    if (limitMs > 0) {
      const message = `${step}: its rate limit ends in ${Math.ceil(limitMs / 1000)} s`;
      const limit = { retryAfterMs: limitMs, isTransient: true, host };
      throw new RegistryError('RATE_LIMITED', message, limit);
    }
    const url = new URL(bearer.realm);
    if (bearer.service !== undefined) url.searchParams.set('service', bearer.service);
    for (const scope of scopes) url.searchParams.append('scope', scope);
    const isOwn = basic !== undefined && isOwnRealm(bearer.realm, registry);
    // Not the signal of one request: other requests wait for the same token.
    const signal = AbortSignal.timeout(fetchTimeoutMs);
    try {
      const response = await http.send({
        method: 'GET',
        url,
        ...(isOwn && { headers: { authorization: basic } }),
        signal,
        step,
        sentBy: registry,
      });
      const { status } = response;
      const text = new TextDecoder().decode(await readBody(response, maxTokenBytes, step));
      if (status === 200) return parseToken(text);
      const retryAfter = headerOf(response, 'retry-after');
      const error = toRegistryError(step, { status, text, host, retryAfter, now: wallClock() });
      if (error.reason === 'RATE_LIMITED') cooldown.start(limitKey, error.retryAfterMs ?? 0);
      throw error;
    } catch (error) {
      if (signal.aborted) {
        const message = `${step}: its token server did not answer within ${fetchTimeoutMs / 1000} s`;
        throw new RegistryError('UNAVAILABLE', message, { cause: error, isTransient: true });
      }
      // The reason NOT_FOUND would mean that the image does not exist.
      if (error instanceof RegistryError && error.reason === 'NOT_FOUND') {
        const message = `${step}: its token server does not exist at the URL in the challenge`;
        throw new RegistryError('REFUSED', message, { cause: error });
      }
      throw error;
    }
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
