import type { Cooldown } from '../../../util/cooldown.ts';
import { type CredentialsUse, RegistryError, toRegistryError } from '../errors/index.ts';
import { type Http, type HttpRequest, readBody, retryAfterOf } from '../http/index.ts';
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

/** The credentials of a client, as they are sent. */
export type Secret =
  | { readonly kind: 'password'; readonly header: string }
  | { readonly kind: 'identity-token'; readonly token: string };

export interface TokenServerOptions {
  readonly http: Pick<Http, 'send'>;
  /** It sent the challenge. */
  readonly registry: URL;
  /** `registry` is the target of a redirect, so errors must name it. */
  readonly isRedirectTarget: boolean;
  readonly secret: Secret | undefined;
  /** Milliseconds since 1970, for a `Retry-After` that is a date. */
  readonly wallClock: () => number;
  /** Pauses after a 429, by `limitKey`. */
  readonly cooldown: Cooldown;
  /** Names the registry and the credentials. */
  readonly limitKey: string;
}

export const step = 'authenticating';
const clientId = 'image-cloner';
const maxTokenBytes = 64 * 1024;
export const fetchTimeoutMs = 30_000;

/** Fetches tokens. Only a token server of the registry's own site gets the password. */
export function createFetchToken(
  options: TokenServerOptions,
): (bearer: Bearer, scopes: readonly Scope[]) => Promise<Token> {
  const { http, registry, isRedirectTarget, secret, wallClock, cooldown } = options;

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

  async function fetchOnce(bearer: Bearer, scopes: readonly Scope[]): Promise<Token> {
    const { realm } = bearer;
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
    const sent = isOwnRealm(realm, registry) ? secret : undefined;
    // Not the signal of one request: other requests wait for the same token.
    const signal = AbortSignal.timeout(fetchTimeoutMs);
    try {
      const request = toRequest(bearer, scopes, sent);
      const response = await http.send({ ...request, signal, step, sentBy: registry });
      const body = new TextDecoder().decode(await readBody(response, maxTokenBytes, step));
      if (response.status === 200) return parseToken(body);
      const { status, text } =
        sent?.kind === 'identity-token'
          ? readGrantError(response.status, body, sent.token)
          : { status: response.status, text: body };
      if (sent?.kind === 'identity-token' && (status === 404 || status === 405)) {
        const message = `${step}: its token server does not accept identity tokens (${status}); put a username and a password into SOURCE_AUTH_FILE`;
        throw new RegistryError('REFUSED', message, { status });
      }
      const error = toRegistryError(step, {
        status,
        text,
        host,
        isRead: true,
        retryAfter: retryAfterOf(response),
        now: wallClock(),
        use: useOf(realm, sent, status),
        speaker: 'its token server',
      });
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

  function useOf(realm: URL, sent: Secret | undefined, status: number): CredentialsUse {
    if (sent !== undefined) return { credentials: status === 401 ? 'rejected' : 'sent' };
    return secret === undefined ? {} : { withheld: describeForeignRealm(realm, secret) };
  }
}

/** GET with a password or without one; the refresh-token grant with an identity token (`spec/auth/oauth.md`). */
function toRequest(
  { realm, service }: Bearer,
  scopes: readonly Scope[],
  sent: Secret | undefined,
): Pick<HttpRequest, 'method' | 'url' | 'headers' | 'body'> {
  if (sent?.kind === 'identity-token') {
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      ...(service !== undefined && { service }),
      client_id: clientId,
      scope: scopes.join(' '),
      refresh_token: sent.token,
    });
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const body = new TextEncoder().encode(form.toString());
    return { method: 'POST', url: realm, headers, body };
  }
  const url = new URL(realm);
  if (service !== undefined) url.searchParams.set('service', service);
  for (const scope of scopes) url.searchParams.append('scope', scope);
  return { method: 'GET', url, headers: sent === undefined ? {} : { authorization: sent.header } };
}

/** OAuth answers 400 to an identity token that has expired; the text may quote the token. */
function readGrantError(
  status: number,
  text: string,
  token: string,
): { readonly status: number; readonly text: string } {
  const isExpired = status === 400 && text.includes('"invalid_grant"');
  return { status: isExpired ? 401 : status, text: text.replaceAll(token, '…') };
}

/** Some token servers know no action `delete`; their registries allow it with the right to push. */
function withoutDelete(scope: Scope): Scope {
  return scope.replace(/:pull(,push)?,delete$/, ':pull,push');
}

/** The token server rejects the request itself, not the credentials, and no later attempt will succeed. */
function isUnknownScope(error: unknown): boolean {
  if (!(error instanceof RegistryError) || error.isTransient) return false;
  const { status = 0 } = error;
  return status >= 400 && status < 500 && ![401, 403, 429].includes(status);
}
