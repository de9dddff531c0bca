import type { AuthConfig } from 'dockerode';
import { canonicalRepository, dockerHub, type Reference } from '../../image/reference.ts';
import type { Credentials } from '../../ports/index.ts';

/** The image name for the daemon's API: with the registry, and by digest if there is one. */
export function toName(image: Reference): string {
  const version = image.digest === undefined ? `:${image.tag ?? 'latest'}` : `@${image.digest}`;
  return `${canonicalRepository(image)}${version}`;
}

/** `X-Registry-Auth` of one request; empty credentials mean anonymous access. */
export function toAuthConfig(
  { domain }: Reference,
  credentials: Credentials | undefined,
): AuthConfig {
  const serveraddress = domain === dockerHub ? 'https://index.docker.io/v1/' : domain;
  const { username = '', password = '', isIdentityToken = false } = credentials ?? {};
  if (isIdentityToken) return { identitytoken: password, serveraddress };
  return { username, password, serveraddress };
}
