import { randomUUID } from 'node:crypto';
import { type Exchange, fail, type Handler, readBody, respondJson } from '../http/index.ts';
import { type Access, formatScope, parseScopes } from './access.ts';
import { type Identity, parseBasic, type Users } from './users.ts';

/** A token that was given out. */
interface IssuedToken {
  readonly token: string;
  readonly user: Identity;
  /** What was asked for: `repository:library/nginx:pull`. */
  readonly asked: readonly string[];
  readonly granted: readonly Access[];
  readonly expiresAtMs: number;
}

export interface TokenOptions {
  readonly service: string;
  /** What `expires_in` says, and how long it is true. */
  readonly expiresInSeconds: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export interface Tokens {
  /** GET and POST of the token endpoint (distribution:docs/content/spec/auth/token.md, oauth.md). */
  readonly endpoint: Handler;
  /** The token behind an `Authorization: Bearer` header, unless it has expired. */
  readonly find: (header: string | null) => IssuedToken | undefined;
  /** Every token that was given out, in that order. */
  readonly list: () => readonly IssuedToken[];
  /** All of them have expired. */
  readonly expire: () => void;
}

const maxFormBytes = 64 * 1024;

interface TokenRequest {
  readonly user: Identity;
  readonly service: string | null;
  readonly scopes: readonly string[];
  readonly wantsRefreshToken: boolean;
}

/** A token service of our own. Tokens are opaque: only we read them. */
export function createTokens(users: Users, options: TokenOptions): Tokens {
  const issued: IssuedToken[] = [];
  const live = new Map<string, IssuedToken>();
  const refreshTokens = new Map<string, Identity>();

  const issue = ({ user, service, scopes, wantsRefreshToken }: TokenRequest): Response => {
    // A client that forgets the service would be given a useless token elsewhere.
    if (service !== options.service) return new Response('unknown service\n', { status: 400 });
    const asked = parseScopes(scopes.join(' '));
    // Less than was asked for is still a 200: only the registry says no.
    const granted = asked.map((access) => users.grant(user, access));
    const { expiresInSeconds, now } = options;
    const token = {
      token: randomUUID(),
      user,
      asked: asked.map(formatScope),
      granted,
      expiresAtMs: now() + expiresInSeconds * 1000,
    };
    issued.push(token);
    live.set(token.token, token);
    const refreshToken = user !== undefined && wantsRefreshToken ? randomUUID() : undefined;
    if (refreshToken !== undefined) refreshTokens.set(refreshToken, user);
    return respondJson({
      token: token.token,
      access_token: token.token,
      expires_in: expiresInSeconds,
      issued_at: new Date(now()).toISOString(),
      scope: granted.map(formatScope).join(' '),
      ...(refreshToken !== undefined && { refresh_token: refreshToken }),
    });
  };

  return {
    endpoint: async (exchange) => {
      const { method } = exchange;
      if (method !== 'GET' && method !== 'POST') return fail('UNSUPPORTED');
      const request =
        method === 'GET'
          ? readQuery(exchange, users)
          : await readForm(exchange, users, refreshTokens);
      if (request !== undefined) return issue(request);
      return fail('UNAUTHORIZED', { headers: { 'www-authenticate': 'Basic realm="token"' } });
    },
    find: (header) => {
      const [, text = ''] = /^bearer +(\S+)$/i.exec(header ?? '') ?? [];
      const token = live.get(text);
      return token !== undefined && token.expiresAtMs > options.now() ? token : undefined;
    },
    list: () => issued,
    expire: () => live.clear(),
  };
}

/** `undefined` for somebody who is not who he says. */
function readQuery({ url, headers }: Exchange, users: Users): TokenRequest | undefined {
  const { searchParams } = url;
  const request = {
    service: searchParams.get('service'),
    scopes: searchParams.getAll('scope'),
    wantsRefreshToken: searchParams.get('offline_token') === 'true',
  };
  const header = headers.get('authorization');
  if (header === null) return { ...request, user: undefined };
  const { name, password } = parseBasic(header) ?? { name: '', password: '' };
  return users.isUser(name, password) ? { ...request, user: name } : undefined;
}

async function readForm(
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
  const isUser =
    text('grant_type') === 'password' && users.isUser(text('username'), text('password'));
  return isUser ? { ...request, user: text('username') } : undefined;
}
