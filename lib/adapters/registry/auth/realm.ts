import { getDomain } from 'tldts';
import { RegistryError } from '../errors/index.ts';

/** The URL is part of the token cache's key. */
const maxRealmLength = 2_048;

/** Registries that give each customer a subdomain, and that the public suffix list lacks. */
const customerDomains = [
  'azurecr.cn',
  'azurecr.io',
  'azurecr.us',
  'jfrog.io',
  'jfrogchina.com',
  'tencentcloudcr.com',
];

/** Reads the URL of a token server; plain http only if the registry itself uses it. Throws `RegistryError` `REFUSED`. */
export function parseRealm(text: string, registry: URL): URL {
  const realm = URL.parse(text, registry);
  const isSecure = realm?.protocol === 'https:';
  const isAsPlain = realm?.protocol === 'http:' && registry.protocol === 'http:';
  const isPlain = realm?.username === '' && realm.password === '';
  if (realm?.protocol === 'http:' && !isAsPlain) {
    throw new RegistryError('REFUSED', 'authenticating: its token server uses plain http');
  }
  if (!(isSecure || isAsPlain) || !isPlain || realm.href.length > maxRealmLength) {
    throw new RegistryError('REFUSED', 'authenticating: its token server has an invalid URL');
  }
  return realm;
}

/** Whether the token server may see the password: the registry names the realm, and a manifest's author names the registry. */
export function isOwnRealm(realm: URL, registry: URL): boolean {
  return realm.host === registry.host || isSameSite(realm.hostname, registry.hostname);
}

/** Why a token server did not get the credentials. */
export function describeForeignRealm(
  { hostname }: URL,
  { kind }: { readonly kind: 'password' | 'identity-token' },
): string {
  const secret = kind === 'password' ? 'password' : 'identity token';
  return `its token server ${hostname} belongs to another site, so the ${secret} was not sent`;
}

/**
 * One registrable domain, and no further away than beside the registry: `auth.example.com` and `example.com` for
 * `registry.example.com`. Inside a cluster, where everything is below `cluster.local`, that is the registry's namespace.
 */
function isSameSite(realm: string, registry: string): boolean {
  const site = siteOf(registry);
  if (site === undefined || siteOf(realm) !== site) return false;
  const parent = registry === site ? site : registry.slice(registry.indexOf('.') + 1);
  return realm === parent || realm.endsWith(`.${parent}`);
}

/** The registrable domain; `undefined` for an IP address, a single label and a public suffix. */
function siteOf(hostname: string): string | undefined {
  // A public suffix by the list, but its names exist within one home network only (RFC 8375).
  if (/(^|\.)home\.arpa$/.test(hostname)) return 'home.arpa';
  const shared = customerDomains.find((domain) => hostname.endsWith(`.${domain}`));
  if (shared === undefined) return getDomain(hostname, { allowPrivateDomains: true }) ?? undefined;
  const customer = hostname
    .slice(0, -shared.length - 1)
    .split('.')
    .at(-1);
  return `${customer}.${shared}`;
}
