import { randomUUID } from 'node:crypto';
import { type Handler, readBody, respondError, respondJson } from '../http/index.ts';
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

/**
 * Creates the token service of a registry. Its tokens are opaque.
 * @param now milliseconds since 1970
 */
export function createTokens(users: Users, service: string, now: () => number): Tokens {
  const issued: IssuedToken[] = [];
  const live = new Map<string, IssuedToken>();
  const refreshTokens = new Map<string, Identity>();

  const issue = (user: Identity, query: URLSearchParams, isOffline: boolean): Response => {
    // Strict, because other token services issue an unusable token if `service` is missing.
    if (query.get('service') !== service) return new Response('unknown service\n', { status: 400 });
    const requested = parseScopes(query.getAll('scope').join(' '));
    // A grant smaller than requested is still a 200; the registry rejects the request later.
    const granted = requested.map((access) => users.grant(user, access));
    const token = randomUUID();
    const expiresAtMs = now() + lifetimeSeconds * 1000;
    const record = { token, user, requested: requested.map(formatScope), granted, expiresAtMs };
    issued.push(record);
    live.set(token, record);
    const refreshToken = user !== undefined && isOffline ? randomUUID() : undefined;
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

  const identify = (form: URLSearchParams): Identity => {
    const text = (name: string): string => form.get(name) ?? '';
    if (text('grant_type') === 'refresh_token') return refreshTokens.get(text('refresh_token'));
    if (text('grant_type') !== 'password') return undefined;
    return users.isPasswordOf(text('username'), text('password')) ? text('username') : undefined;
  };

  return {
    endpoint: async ({ method, url: { searchParams }, headers, body }) => {
      if (method === 'GET') {
        const header = headers.get('authorization');
        const user = users.authenticate(header);
        if (header !== null && user === undefined) return rejectCredentials();
        return issue(user, searchParams, searchParams.get('offline_token') === 'true');
      }
      if (method !== 'POST') return respondError('UNSUPPORTED');
      const bytes = await readBody(body, maxFormBytes);
      const form = new URLSearchParams(new TextDecoder().decode(bytes));
      const user = identify(form);
      if (user === undefined) return rejectCredentials();
      return issue(user, form, form.get('access_type') === 'offline');
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

function rejectCredentials(): Response {
  const headers = { 'www-authenticate': 'Basic realm="token"' };
  return respondError('UNAUTHORIZED', { headers });
}
