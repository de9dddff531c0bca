import { Buffer } from 'node:buffer';
import type { Credentials } from '../../../ports/index.ts';
import { untilAborted } from '../../../util/abort.ts';
import { createBoundedMap } from '../../../util/bounded-map.ts';
import { createSingleFlight } from '../../../util/single-flight.ts';
import { type CredentialsUse, isTransient, RegistryError } from '../errors/index.ts';
import { drop } from '../http/index.ts';
import { describeForeignRealm, isOwnRealm } from './realm.ts';
import { type Challenged, pickScheme, type Scheme } from './scheme.ts';
import type { TokenBudget } from './token-budget.ts';
import {
  type Bearer,
  createFetchToken,
  fetchTimeoutMs,
  type Scope,
  type Secret,
  step,
  type TokenServerOptions,
} from './token-server.ts';

/** Makes an `Authorization` header. */
export type MakeHeader = (signal: AbortSignal) => Promise<string | undefined>;

/** A response, and the `Authorization` header of its request. */
interface Denied extends Challenged {
  readonly status: number;
  readonly authorization: string | undefined;
}

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
  ): MakeHeader | undefined;
  /**
   * Takes a 403 or 404 response to a request with the header `used`. Some registries hide private images that way and send
   * their challenge for `/v2/` only, which is requested once, and never for an anonymous client.
   */
  discoverChallenge(
    scopes: readonly Scope[],
    used: string | undefined,
    signal: AbortSignal,
  ): Promise<MakeHeader | undefined>;
  /**
   * Takes a 400 response to a request with the header `used`: some registries send it for a token that expired early. Returns a
   * function that makes the header with a new token; `undefined` if `used` is no token, or one that no other request has used.
   */
  renew(scopes: readonly Scope[], used: string | undefined): MakeHeader | undefined;
  /** What became of the credentials in a request that was denied. */
  useOf(denied: Denied): CredentialsUse;
}

export interface AuthorizerOptions extends Omit<TokenServerOptions, 'secret'> {
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
  /** More than one request has used it. */
  readonly isReused: boolean;
}

const maxTokens = 500;

/** Answers Basic and Bearer challenges (distribution `spec/auth/token.md`). */
export function createAuthorizer(options: AuthorizerOptions): Authorizer {
  const { registry, credentials, now, tokenBudget } = options;
  const tokens = createBoundedMap<string, CachedToken>(maxTokens);
  const fetches = createSingleFlight<string>();
  const pings = createSingleFlight<Scheme | undefined>();
  let scheme: Scheme = { kind: 'unknown' };
  /** `/v2/` needs no credentials. */
  let isOpen = false;

  const secret = credentials && toSecret(credentials);
  const basic = secret?.kind === 'password' ? secret.header : undefined;

  const pick = (challenge: Challenged): Scheme | undefined =>
    pickScheme(challenge, { registry, hasPassword: basic !== undefined });
  const fetchToken = createFetchToken({ ...options, secret });

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

  /** Concurrent requests for the same scopes share one fetch. */
  async function tokenFor(
    bearer: Bearer,
    scopes: readonly Scope[],
    signal: AbortSignal,
  ): Promise<string> {
    const key = keyOf(bearer, scopes);
    const cached = tokens.get(key);
    if (cached !== undefined && now() < cached.expiresAt) {
      if (!cached.isReused) tokens.set(key, { ...cached, isReused: true });
      return cached.header;
    }
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
    const header = `Bearer ${value}`;
    tokens.set(key, { header, expiresAt: now() + usableMs, isReused: false });
    tokenBudget.spend(key.length + header.length, () => dropToken(key, header));
    return header;
  }

  function dropToken(key: string, header: string): void {
    if (tokens.get(key)?.header === header) tokens.delete(key);
  }

  async function ping(): Promise<Scheme | undefined> {
    try {
      const response = await options.http.send({
        method: 'GET',
        url: new URL('/v2/', registry),
        signal: AbortSignal.timeout(fetchTimeoutMs),
        step,
      });
      await drop(response);
      const { status } = response;
      const found = status === 401 ? pick(response) : undefined;
      // A failure says nothing about credentials.
      isOpen = found === undefined && status < 500 && status !== 429;
      return found;
    } catch {
      // The response to the request itself counts.
      return undefined;
    }
  }

  const headerMaker =
    (picked: Scheme, scopes: readonly Scope[]): MakeHeader =>
    async (signal) => {
      try {
        return await headerFor(picked, scopes, signal);
      } catch (error) {
        if (!isTransient(error)) forget(picked);
        throw error;
      }
    };

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
      const picked = pick(challenge);
      if (picked === undefined) return undefined;
      scheme = picked;
      const makeHeader = headerMaker(picked, scopes);
      if (picked.kind !== 'bearer') {
        return basic !== undefined && used !== basic ? makeHeader : undefined;
      }
      // The token has expired, or is older than a permission.
      if (used !== undefined) dropToken(keyOf(picked, scopes), used);
      return makeHeader;
    },

    async discoverChallenge(scopes, used, signal) {
      if (secret === undefined || used !== undefined || isOpen) return undefined;
      if (scheme.kind === 'unknown') {
        const found = await untilAborted(pings.run('', ping), signal);
        if (found === undefined) return undefined;
        scheme = found;
      }
      return headerMaker(scheme, scopes);
    },

    renew(scopes, used) {
      if (scheme.kind !== 'bearer' || used === undefined || used === basic) return undefined;
      const key = keyOf(scheme, scopes);
      const cached = tokens.get(key);
      if (cached?.header === used && !cached.isReused) return undefined;
      dropToken(key, used);
      return headerMaker(scheme, scopes);
    },

    useOf(response) {
      const { authorization, status } = response;
      if (secret === undefined) return {};
      if (authorization !== undefined && authorization === basic)
        return { credentials: status === 401 ? 'rejected' : 'sent' };
      const asked = status === 401 ? pick(response) : scheme;
      if (asked?.kind === 'basic' && secret.kind === 'identity-token')
        return { withheld: 'it requires a password, so the identity token was not sent' };
      if (asked?.kind !== 'bearer') return {};
      if (!isOwnRealm(asked.realm, registry))
        return { withheld: describeForeignRealm(asked.realm, secret) };
      return authorization === undefined ? {} : { credentials: 'sent' };
    },
  };
}

function toSecret({ username, password, isIdentityToken }: Credentials): Secret {
  if (isIdentityToken) return { kind: 'identity-token', token: password };
  const text = Buffer.from(`${username}:${password}`).toString('base64');
  return { kind: 'password', header: `Basic ${text}` };
}

function isRateLimit(error: unknown): boolean {
  return error instanceof RegistryError && error.reason === 'RATE_LIMITED';
}

function keyOf({ realm, service }: Bearer, scopes: readonly Scope[]): string {
  return [realm.href, service, ...scopes.toSorted()].join(' ');
}
