import type { Cooldown } from '../../../util/cooldown.ts';
import { type CredentialsUse, RegistryError, toRegistryError } from '../errors/index.ts';
import { type Http, readBody, retryAfterOf } from '../http/index.ts';
import { describeForeignRealm, isOwnRealm } from './realm.ts';
import { parseToken, type Token } from './token.ts';

/** A scope of the token protocol: `repository:library/nginx:pull`. */
export type Scope = string;

/** What a Bearer challenge says. */
export interface Bearer {
  readonly kind: 'bearer';
  readonly realm: URL;
  readonly service: string | undefined;
}

export interface TokenServerOptions {
  readonly http: Pick<Http, 'send'>;
  /** It sent the challenge. */
  readonly registry: URL;
  /** `registry` is the target of a redirect, so errors must name it. */
  readonly isRedirectTarget: boolean;
  /** The header with username and password. */
  readonly basic: string | undefined;
  /** Milliseconds since 1970, for a `Retry-After` that is a date. */
  readonly wallClock: () => number;
  /** Pauses after a 429, by `limitKey`. */
  readonly cooldown: Cooldown;
  /** Names the registry and the credentials. */
  readonly limitKey: string;
}

export const step = 'authenticating';
const maxTokenBytes = 64 * 1024;
export const fetchTimeoutMs = 30_000;

/** Fetches tokens. Only a token server of the registry's own site gets the password. */
export function createFetchToken(
  options: TokenServerOptions,
): (bearer: Bearer, scopes: readonly Scope[]) => Promise<Token> {
  const { http, registry, isRedirectTarget, basic, wallClock, cooldown } = options;

  let realmWithoutDelete: string | undefined;

  return async function fetchToken(bearer, scopes) {
    const { href } = bearer.realm;
    const lesser = scopes.map(withoutDelete);
    if (realmWithoutDelete === href) return await fetchOnce(bearer, lesser);
    try {
      return await fetchOnce(bearer, scopes);
    } catch (error) {
      if (!isUnknownScope(error) || lesser.join() === scopes.join()) throw error;
      const token = await fetchOnce(bearer, lesser);
      realmWithoutDelete = href;
      return token;
    }
  };

  function useOfPassword(realm: URL, isSent: boolean, status: number): CredentialsUse {
    if (isSent) return { credentials: status === 401 ? 'rejected' : 'sent' };
    return basic === undefined ? {} : { withheld: describeForeignRealm(realm) };
  }

  async function fetchOnce({ realm, service }: Bearer, scopes: readonly Scope[]): Promise<Token> {
    const isRegistry = realm.origin === registry.origin;
    const host = isRegistry && !isRedirectTarget ? undefined : realm.host;
    const limitKey = isRegistry
      ? options.limitKey
      : JSON.stringify([options.limitKey, realm.origin]);
    const limitMs = cooldown.remainingMs(limitKey);
    if (limitMs > 0) {
      const message = `${step}: its rate limit ends in ${Math.ceil(limitMs / 1000)} s`;
      const limit = { retryAfterMs: limitMs, isTransient: true, host };
      throw new RegistryError('RATE_LIMITED', message, limit);
    }
    const url = new URL(realm);
    if (service !== undefined) url.searchParams.set('service', service);
    for (const scope of scopes) url.searchParams.append('scope', scope);
    const isOwn = basic !== undefined && isOwnRealm(realm, registry);
    const speaker = 'its token server';
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
      const retryAfter = retryAfterOf(response);
      const use = useOfPassword(realm, isOwn, status);
      const answer = { status, text, host, retryAfter, now: wallClock(), use, speaker };
      const error = toRegistryError(step, answer);
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
        throw new RegistryError('REFUSED', message, { cause: error, status: 404 });
      }
      throw error;
    }
  }
}

/** Some token servers know no action `delete`; their registries let everyone delete who may push. */
function withoutDelete(scope: Scope): Scope {
  return scope.replace(/:pull(,push)?,delete$/, ':pull,push');
}

/** The token server rejects the request itself, not the credentials, and no later attempt will succeed. */
function isUnknownScope(error: unknown): boolean {
  if (!(error instanceof RegistryError) || error.isTransient) return false;
  const { status = 0 } = error;
  return status >= 400 && status < 500 && ![401, 403, 429].includes(status);
}
