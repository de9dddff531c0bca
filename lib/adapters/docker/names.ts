import type { AuthConfig } from 'dockerode';
import { canonicalRepository, dockerHub, type Reference } from '../../image/reference.ts';
import type { Credentials } from '../../ports/index.ts';

/** The name that the daemon takes: by digest where there is one, and always with its registry. */
export function toName(image: Reference): string {
  const version = image.digest === undefined ? `:${image.tag ?? 'latest'}` : `@${image.digest}`;
  return `${canonicalRepository(image)}${version}`;
}

/** Credentials as the daemon takes them; where there are none, empty ones: nobody's. */
export function toAuthConfig(
  { domain }: Reference,
  credentials: Credentials | undefined,
): AuthConfig {
  const serveraddress = domain === dockerHub ? 'https://index.docker.io/v1/' : domain;
  const { username = '', password = '' } = credentials ?? {};
  return { username, password, serveraddress };
}
