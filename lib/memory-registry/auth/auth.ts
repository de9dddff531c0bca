import { type Exchange, fail, type Middleware, originOf, tokenPath } from '../http/index.ts';
import { type Access, covers, formatScope, requiredAccess } from './access.ts';
import { createTokens, type Tokens } from './tokens.ts';
import { createUsers, parseBasic, type UserOptions, type Users } from './users.ts';

/** `basic`, like distribution with an htpasswd file. */
interface BasicAuthOptions extends UserOptions {
  readonly scheme: 'basic';
}

/** `bearer`, like Docker Hub, with tokens from `/token` of the same server. */
interface BearerAuthOptions extends UserOptions {
  readonly scheme: 'bearer';
  /** URL of the token endpoint, given the registry's own. @default the registry's own */
  readonly realm?: (own: string) => string;
  /** @default memory-registry */
  readonly service?: string;
  /** @default 300 */
  readonly expiresInSeconds?: number;
}

export type AuthOptions = BasicAuthOptions | BearerAuthOptions;

/** What guards a registry. */
export interface Auth {
  readonly guard: Middleware;
  /** Where there are any. */
  readonly tokens?: Tokens;
}

/** @param now milliseconds since 1970, for the end of tokens */
export function createAuth(options: AuthOptions, now: () => number): Auth {
  const users = createUsers(options);
  if (options.scheme === 'basic') return { guard: createBasicGuard(users) };
  const { service = 'memory-registry', expiresInSeconds = 300, realm = (own) => own } = options;
  const tokens = createTokens(users, { service, expiresInSeconds, now });
  return { guard: createBearerGuard(tokens, realm, service), tokens };
}

function createBasicGuard(users: Users): Middleware {
  return async (exchange, next) => {
    const header = exchange.headers.get('authorization');
    const claim = parseBasic(header);
    const who =
      claim !== undefined && users.isUser(claim.name, claim.password) ? claim.name : undefined;
    const needed = requiredAccess(exchange);
    const isGranted = needed.every((access) => covers([users.grant(who, access)], access));
    const isOpen = isUnguarded(exchange) || (header === null && needed.length > 0 && isGranted);
    if (isOpen || (who !== undefined && isGranted)) return await next(exchange);
    // Wrong credentials are refused even where none are needed.
    if (who === undefined) return challenge('Basic realm="memory-registry"', needed);
    return fail('DENIED', { details: [toDetail(needed)] });
  };
}

/** Even what is public takes a token here, an anonymous one: so it is on Docker Hub. */
function createBearerGuard(
  tokens: Tokens,
  realm: (own: string) => string,
  service: string,
): Middleware {
  return async (exchange, next) => {
    if (isUnguarded(exchange)) return await next(exchange);
    const header = exchange.headers.get('authorization');
    const token = tokens.find(header);
    const needed = requiredAccess(exchange);
    if (token !== undefined && needed.every((access) => covers(token.granted, access))) {
      return await next(exchange);
    }
    const fields = {
      realm: realm(`${originOf(exchange)}${tokenPath}`),
      service,
      ...(needed.length > 0 && { scope: needed.map(formatScope).join(' ') }),
      ...(header !== null && {
        error: token === undefined ? 'invalid_token' : 'insufficient_scope',
      }),
    };
    const written = Object.entries(fields).map(([name, value]) => `${name}="${value}"`);
    return challenge(`Bearer ${written.join(',')}`, needed);
  };
}

function isUnguarded({ target }: Exchange): boolean {
  return target.kind === 'root' || target.kind === 'token';
}

function challenge(header: string, needed: readonly Access[]): Response {
  const headers = { 'www-authenticate': header };
  return fail('UNAUTHORIZED', { headers, details: [toDetail(needed)] });
}

/** Distribution lists what was missing, action by action. */
function toDetail(needed: readonly Access[]): readonly object[] | null {
  const missing = needed.flatMap(({ type, name, actions }) =>
    actions.map((action) => ({ Type: type, Class: '', Name: name, Action: action })),
  );
  return missing.length === 0 ? null : missing;
}
