import { type Exchange, type Middleware, respondError, tokenPath } from '../http/index.ts';
import { type Access, covers, formatScope, requiredAccess } from './access.ts';
import { createTokens, type Tokens } from './tokens.ts';
import { createUsers, type UserOptions, type Users } from './users.ts';

/** Basic authentication, like distribution with an htpasswd file. */
interface BasicAuthOptions extends UserOptions {
  readonly scheme: 'basic';
}

/** Bearer authentication, like Docker Hub, with tokens from `/token` of the same server. */
interface BearerAuthOptions extends UserOptions {
  readonly scheme: 'bearer';
  /** URL of the token endpoint; receives the URL of the registry's own. @default the registry's own */
  readonly realm?: (own: string) => string;
  /** @default memory-registry */
  readonly service?: string;
}

export type AuthOptions = BasicAuthOptions | BearerAuthOptions;

export interface Auth {
  readonly authorize: Middleware;
  /** `undefined` with basic authentication. */
  readonly tokens: Tokens | undefined;
}

/** @param now milliseconds since 1970, for the expiry of tokens */
export function createAuth(options: AuthOptions, now: () => number): Auth {
  const users = createUsers(options);
  if (options.scheme === 'basic') {
    return { authorize: createBasicAuthorizer(users), tokens: undefined };
  }
  const { service = 'memory-registry', realm = (own) => own } = options;
  const tokens = createTokens(users, service, now);
  return { authorize: createBearerAuthorizer(tokens, realm, service), tokens };
}

function createBasicAuthorizer(users: Users): Middleware {
  return async (exchange, next) => {
    const header = exchange.headers.get('authorization');
    const user = users.authenticate(header);
    const needed = requiredAccess(exchange);
    const isGranted = needed.every((access) => covers([users.grant(user, access)], access));
    const isOpen = isExempt(exchange) || (header === null && needed.length > 0 && isGranted);
    if (isOpen || (user !== undefined && isGranted)) return await next(exchange);
    // Wrong credentials are rejected even if anonymous access is enough.
    if (user === undefined) return challenge('Basic realm="memory-registry"', needed);
    return respondError('DENIED', { details: [toDetail(needed)] });
  };
}

/** A public repository needs a token too, an anonymous one, as on Docker Hub. */
function createBearerAuthorizer(
  tokens: Tokens,
  realm: (own: string) => string,
  service: string,
): Middleware {
  return async (exchange, next) => {
    if (isExempt(exchange)) return await next(exchange);
    const header = exchange.headers.get('authorization');
    const token = tokens.find(header);
    const needed = requiredAccess(exchange);
    if (token !== undefined && needed.every((access) => covers(token.granted, access))) {
      return await next(exchange);
    }
    const fields = {
      realm: realm(`${exchange.url.origin}${tokenPath}`),
      service,
      ...(needed.length > 0 && { scope: needed.map(formatScope).join(' ') }),
      ...(header !== null && {
        error: token === undefined ? 'invalid_token' : 'insufficient_scope',
      }),
    };
    const parameters = Object.entries(fields).map(([name, value]) => `${name}="${value}"`);
    return challenge(`Bearer ${parameters.join(',')}`, needed);
  };
}

function isExempt({ target }: Exchange): boolean {
  return target.kind === 'root' || target.kind === 'token';
}

function challenge(header: string, needed: readonly Access[]): Response {
  const headers = { 'www-authenticate': header };
  return respondError('UNAUTHORIZED', { headers, details: [toDetail(needed)] });
}

/** Lists the missing access action by action, as distribution does. */
function toDetail(needed: readonly Access[]): readonly object[] | null {
  const missing = needed.flatMap(({ type, name, actions }) =>
    actions.map((action) => ({ Type: type, Class: '', Name: name, Action: action })),
  );
  return missing.length === 0 ? null : missing;
}
