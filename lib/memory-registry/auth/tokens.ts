import { randomUUID } from 'node:crypto';
import { type Exchange, type Handler, readBody, respondError, respondJson } from '../http/index.ts';
import { type Access, formatScope, parseScopes } from './access.ts';
import type { Identity, Users } from './users.ts';

interface IssuedToken {
  readonly token: string;
  readonly user: Identity;
  /** The requested scopes: `repository:library/nginx:pull`. */
  readonly requested: readonly string[];
  readonly granted: readonly Access[];
  readonly expiresAtMs: number;
}

export interface Tokens {
  /** Handles GET and POST of the token endpoint (distribution docs/content/spec/auth/token.md, oauth.md). */
  readonly endpoint: Handler;
  /** The token of an `Authorization: Bearer` header, unless it is expired or unknown. */
  readonly find: (header: string | null) => IssuedToken | undefined;
  /** Every issued token, oldest first, expired ones included. */
  readonly list: () => readonly IssuedToken[];
  /** Expires every token. */
  readonly expire: () => void;
}

const maxFormBytes = 64 * 1024;
const lifetimeSeconds = 300;

interface TokenRequest {
  readonly user: Identity;
  readonly service: string | null;
  readonly scopes: readonly string[];
  readonly wantsRefreshToken: boolean;
}

/**
 * Creates the token service of a registry. Its tokens are opaque.
 * @param now milliseconds since 1970
 */
export function createTokens(users: Users, ownService: string, now: () => number): Tokens {
  const issued: IssuedToken[] = [];
  const live = new Map<string, IssuedToken>();
  const refreshTokens = new Map<string, Identity>();

  const issue = ({ user, service, scopes, wantsRefreshToken }: TokenRequest): Response => {
    // Strict, because other token services issue an unusable token if `service` is missing.
    if (service !== ownService) return new Response('unknown service\n', { status: 400 });
    const requested = parseScopes(scopes.join(' '));
    // A grant smaller than requested is still a 200; the registry rejects the request later.
    const granted = requested.map((access) => users.grant(user, access));
    const token = randomUUID();
    const expiresAtMs = now() + lifetimeSeconds * 1000;
    const record = { token, user, requested: requested.map(formatScope), granted, expiresAtMs };
    issued.push(record);
    live.set(token, record);
    const refreshToken = user !== undefined && wantsRefreshToken ? randomUUID() : undefined;
    if (refreshToken !== undefined) refreshTokens.set(refreshToken, user);
    return respondJson({
      token,
      access_token: token,
      expires_in: lifetimeSeconds,
      issued_at: new Date(now()).toISOString(),
      scope: granted.map(formatScope).join(' '),
      refresh_token: refreshToken,
    });
  };

  return {
    endpoint: async (exchange) => {
      const { method } = exchange;
      if (method !== 'GET' && method !== 'POST') return respondError('UNSUPPORTED');
      const request =
        method === 'GET'
          ? parseTokenQuery(exchange, users)
          : await readTokenForm(exchange, users, refreshTokens);
      if (request !== undefined) return issue(request);
      return respondError('UNAUTHORIZED', {
        headers: { 'www-authenticate': 'Basic realm="token"' },
      });
    },
    find: (header) => {
      const [, text = ''] = /^bearer +(\S+)$/i.exec(header ?? '') ?? [];
      const token = live.get(text);
      return token !== undefined && token.expiresAtMs > now() ? token : undefined;
    },
    list: () => issued,
    expire: () => live.clear(),
  };
}

/** Parses a GET of the token endpoint; `undefined` if the credentials are wrong. */
function parseTokenQuery({ url, headers }: Exchange, users: Users): TokenRequest | undefined {
  const { searchParams } = url;
  const request = {
    service: searchParams.get('service'),
    scopes: searchParams.getAll('scope'),
    wantsRefreshToken: searchParams.get('offline_token') === 'true',
  };
  const header = headers.get('authorization');
  if (header === null) return { ...request, user: undefined };
  const user = users.authenticate(header);
  return user === undefined ? undefined : { ...request, user };
}

/** Reads a POST of the token endpoint; `undefined` if the credentials are wrong. */
async function readTokenForm(
  { body }: Exchange,
  users: Users,
  refreshTokens: ReadonlyMap<string, Identity>,
): Promise<TokenRequest | undefined> {
  const form = new URLSearchParams(new TextDecoder().decode(await readBody(body, maxFormBytes)));
  const text = (name: string): string => form.get(name) ?? '';
  const request = {
    service: form.get('service'),
    scopes: form.getAll('scope'),
    wantsRefreshToken: form.get('access_type') === 'offline',
  };
  if (text('grant_type') === 'refresh_token') {
    const user = refreshTokens.get(text('refresh_token'));
    return user === undefined ? undefined : { ...request, user };
  }
  const isAuthenticated =
    text('grant_type') === 'password' && users.isPasswordOf(text('username'), text('password'));
  return isAuthenticated ? { ...request, user: text('username') } : undefined;
}
