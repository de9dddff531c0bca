import type { HttpResponse } from '../http/index.ts';
import { parseChallenges } from './challenge.ts';
import { isOwnRealm, parseRealm } from './realm.ts';
import type { Bearer } from './token-server.ts';

/** A response with a `WWW-Authenticate` header. */
export type Challenged = Pick<HttpResponse, 'headers'>;

/** How a client authenticates. */
export type Scheme = { readonly kind: 'unknown' | 'basic' } | Bearer;

interface SchemeOptions {
  /** It sent the challenge. */
  readonly registry: URL;
  readonly hasPassword: boolean;
}

/** Prefers Bearer, unless its realm is another site and Basic is offered too. Throws `RegistryError` for an unusable realm. */
export function pickScheme(
  { headers }: Challenged,
  { registry, hasPassword }: SchemeOptions,
): Scheme | undefined {
  const challenges = parseChallenges([headers['www-authenticate'] ?? []].flat());
  const offered = challenges.find(({ scheme, parameters }) => {
    return scheme === 'bearer' && parameters.has('realm');
  });
  const hasBasic = challenges.some(({ scheme }) => scheme === 'basic');
  if (offered === undefined) return hasBasic ? { kind: 'basic' } : undefined;
  const { parameters } = offered;
  const realm = parseRealm(parameters.get('realm') ?? '', registry);
  if (hasBasic && hasPassword && !isOwnRealm(realm, registry)) return { kind: 'basic' };
  return { kind: 'bearer', realm, service: parameters.get('service') };
}
