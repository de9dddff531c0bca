import { Buffer } from 'node:buffer';
import type { Credentials } from '../../../ports/index.ts';
import { untilAborted } from '../../../util/abort.ts';
import { createBoundedMap } from '../../../util/bounded-map.ts';
import { createSingleFlight } from '../../../util/single-flight.ts';
import { isTransient, RegistryError, toRegistryError } from '../errors/index.ts';
import { type Http, type HttpResponse, headerOf, readBody } from '../http/index.ts';
import { type Challenge, parseChallenges } from './challenge.ts';
import { isOwnRealm, parseRealm } from './realm.ts';
import { parseToken, type Token } from './token.ts';
import type { TokenBudget } from './token-budget.ts';

/** What a request needs to do, in the words of the token protocol: `repository:library/nginx:pull`. */
export type Scope = string;

/** The credentials of one client at one registry: answers its challenges and remembers the answers. */
export interface Authorizer {
  /** Header for a request that needs `scopes`, as far as a challenge was seen before. */
  authorization(scopes: readonly Scope[], signal: AbortSignal): Promise<string | undefined>;
  /**
   * Learns from a 401 to a request that was sent with `used`. Returns what makes the header that answers this very
   * challenge, whatever others are told meanwhile; nothing where trying once more cannot help.
   */
  learn(
    challenge: Pick<HttpResponse, 'headers'>,
    scopes: readonly Scope[],
    used: string | undefined,
  ): ((signal: AbortSignal) => Promise<string | undefined>) | undefined;
  /** Why this 401 may be final: credentials that we have and did not send. */
  withheld(challenge: Pick<HttpResponse, 'headers'>): RegistryError | undefined;
}

export interface AuthorizerOptions {
  readonly http: Http;
  readonly registry: URL;
  readonly credentials: Credentials | undefined;
  /** A monotonic clock. */
  readonly now: () => number;
  /** Milliseconds since 1970, for a `Retry-After` that is a date. */
  readonly wallClock: () => number;
  /** Shared with all other clients. */
  readonly tokenBudget: TokenBudget;
  /** The registry is the user's own: its password is sent before it asks, which saves a request each time we start. */
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
  const { http, registry, credentials, now, wallClock, tokenBudget } = options;
  const tokens = createBoundedMap<string, CachedToken>(maxTokens);
  const fetches = createSingleFlight<string>();
  let scheme: Scheme = { kind: 'unknown' };

  const basic =
    credentials === undefined
      ? undefined
      : `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`;

  async function headerFor(
    known: Scheme,
    scopes: readonly Scope[],
    signal: AbortSignal,
  ): Promise<string | undefined> {
    switch (known.kind) {
      case 'unknown':
        return options.isConfigured ? basic : undefined;
      case 'basic':
        return basic;
      case 'bearer':
        return await tokenFor(known, scopes, signal);
    }
  }

  async function authorization(
    scopes: readonly Scope[],
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const known = scheme;
    try {
      return await headerFor(known, scopes, signal);
    } catch (error) {
      if (!signal.aborted) forget(known);
      throw error;
    }
  }

  /** A token server that fails may have moved, or have been named by somebody else in the registry's place: it is asked anew. */
  function forget(known: Scheme): void {
    if (scheme === known) scheme = { kind: 'unknown' };
  }

  function learn(
    challenge: Pick<HttpResponse, 'headers'>,
    scopes: readonly Scope[],
    used: string | undefined,
  ): ReturnType<Authorizer['learn']> {
    const picked = pickScheme(challengesOf(challenge));
    if (picked === undefined) return undefined;
    scheme = picked;
    const answer = async (signal: AbortSignal): Promise<string | undefined> => {
      try {
        return await headerFor(picked, scopes, signal);
      } catch (error) {
        if (!isTransient(error)) forget(picked);
        throw error;
      }
    };
    if (picked.kind !== 'bearer') {
      return basic !== undefined && used !== basic ? answer : undefined;
    }
    const key = keyOf(picked, scopes);
    if (tokens.get(key)?.header === used && used !== undefined) {
      // It may have expired, or have been issued before a permission was: one fresh one, and no more.
      tokens.delete(key);
    }
    return answer;
  }

  function withheld(challenge: Pick<HttpResponse, 'headers'>): RegistryError | undefined {
    const picked = pickScheme(challengesOf(challenge));
    if (basic === undefined || picked?.kind !== 'bearer') return undefined;
    return isOwnRealm(picked.realm, registry) ? undefined : foreign(picked.realm);
  }

  /** Bearer, unless its token server may not see the password that Basic would take; what neither is, is left out. */
  function pickScheme(challenges: readonly Challenge[]): Scheme | undefined {
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

  /** The header with a cached token, or with one that is fetched once for all requests that wait for it. */
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
    const url = new URL(bearer.realm);
    if (bearer.service !== undefined) url.searchParams.set('service', bearer.service);
    for (const scope of scopes) url.searchParams.append('scope', scope);
    const mayKnow = basic !== undefined && isOwnRealm(bearer.realm, registry);
    // Its own time limit: others wait for it too, and the first who asked may be the first to leave.
    const signal = AbortSignal.timeout(fetchTimeoutMs);
    try {
      const answer = await http.send({
        method: 'GET',
        url,
        ...(mayKnow && { headers: { authorization: basic } }),
        signal,
        step,
        sentBy: registry,
      });
      const text = new TextDecoder().decode(await readBody(answer, maxTokenBytes, step));
      if (answer.status === 200) return parseToken(text);
      const retryAfter = headerOf(answer, 'retry-after');
      throw toRegistryError(step, { status: answer.status, text, retryAfter, now: wallClock() });
    } catch (error) {
      if (signal.aborted) throw silent(error);
      // A token server that is not there says nothing of the image.
      if (error instanceof RegistryError && error.reason === 'NOT_FOUND') throw absent(error);
      throw error;
    }
  }

  return {
    authorization,
    learn,
    withheld,
  };
}

function challengesOf({ headers }: Pick<HttpResponse, 'headers'>): readonly Challenge[] {
  const header = headers['www-authenticate'];
  return parseChallenges(header === undefined ? [] : [header].flat());
}

function keyOf({ realm, service }: Bearer, scopes: readonly Scope[]): string {
  return [realm.href, service, ...scopes.toSorted()].join(' ');
}

function foreign({ hostname }: URL): RegistryError {
  return new RegistryError(
    'DENIED',
    `${step}: its token server ${hostname} belongs to another site, which gets no password from us`,
  );
}

function silent(cause: unknown): RegistryError {
  const message = `${step}: its token server did not answer in time`;
  return new RegistryError('UNAVAILABLE', message, { cause, isTransient: true });
}

function absent(cause: RegistryError): RegistryError {
  return new RegistryError('REFUSED', `${step}: its token server is not where it should be`, {
    cause,
  });
}
