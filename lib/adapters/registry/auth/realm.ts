import { isIP } from 'node:net';
import { RegistryError } from '../errors/index.ts';

/** Docker Hub's token server is on another host than its registry. */
const hubRealm = 'auth.docker.io';
const hubHost = 'registry-1.docker.io';

/** Tokens are remembered by it, and a header has room for one of tens of thousands. */
const maxRealmLength = 2_048;

/** Reads the address of a token server: relative in practice, plain http only where the registry itself is. Throws `RegistryError` `REFUSED`. */
export function parseRealm(text: string, registry: URL): URL {
  const realm = URL.canParse(text, registry) ? new URL(text, registry) : undefined;
  const isSecure = realm?.protocol === 'https:';
  const isAsPlain = realm?.protocol === 'http:' && registry.protocol === 'http:';
  const isPlain = realm?.username === '' && realm.password === '';
  const isShort = realm !== undefined && realm.href.length <= maxRealmLength;
  if (realm === undefined || !(isSecure || isAsPlain) || !isPlain || !isShort) {
    throw new RegistryError('REFUSED', 'authenticating: its token server has no usable address');
  }
  return realm;
}

/** Whether the token server may see a password: whoever writes a manifest chooses the registry, and the registry the realm. */
export function isOwnRealm(realm: URL, registry: URL): boolean {
  return (
    realm.host === registry.host ||
    isSameSite(realm.hostname, registry.hostname) ||
    (registry.host === hubHost && realm.host === hubRealm)
  );
}

/** `auth.example.com` and `example.com` for `registry.example.com`; never for addresses, or for what whole countries share. */
function isSameSite(realm: string, registry: string): boolean {
  if ([realm, registry].some((host) => host.startsWith('[') || isIP(host) !== 0)) return false;
  const site = registry.slice(registry.indexOf('.') + 1);
  const isShared = !site.includes('.') || /^(co|com|net|org|gov|edu|ac)\.[a-z]{2}$/.test(site);
  return !isShared && (realm === site || realm.endsWith(`.${site}`));
}
