import { lookup as systemLookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { createBoundedMap } from '../../../util/bounded-map.ts';
import { type AddressKind, kindOfAddress, kindOfHostname } from './address.ts';

/**
 * The addresses that a request may reach: `anywhere` for configured hosts, `registry` (public or private) for other
 * registries, and `public` if a public registry named the host.
 */
export type EgressZone = 'anywhere' | 'registry' | 'public';

export interface EgressPolicyOptions {
  /** `host` or `host:port`, in the zone `anywhere`. */
  readonly configuredHosts: readonly string[];
  /** Inside a cluster, loopback is the webhook's own pod. */
  readonly insideCluster: boolean;
  /** @default the system's */
  readonly lookup?: typeof systemLookup;
}

/** Decides which addresses requests may reach. */
export interface EgressPolicy {
  /** @param sentBy the host that named `url`, unless `url` is the registry itself */
  zoneOf(url: URL, sentBy: URL | undefined): EgressZone;
  /** Whether the host of `url` is allowed, as far as that is known before it is resolved. */
  allows(url: URL, zone: EgressZone): boolean;
  /** Resolves names; fails with `EFORBIDDEN` if an address is not allowed. */
  lookup(zone: EgressZone): LookupFunction;
}

export const forbiddenCode = 'EFORBIDDEN';
const maxHosts = 1_000;

export function createEgressPolicy(options: EgressPolicyOptions): EgressPolicy {
  const { insideCluster, lookup: resolve = systemLookup } = options;
  const configured = new Set(options.configuredHosts.flatMap(toHosts));
  const kinds = createBoundedMap<string, AddressKind>(maxHosts);

  function isAllowed(kind: AddressKind, zone: EgressZone): boolean {
    if (zone === 'anywhere' || kind === 'public') return true;
    if (zone === 'public' || kind === 'forbidden') return false;
    return kind === 'private' || !insideCluster;
  }

  /** A host with a public address stays public: its DNS records could change between a request and a redirect. */
  function remember(hostname: string, resolved: readonly AddressKind[]): void {
    const isPublic = resolved.includes('public') || kinds.get(hostname) === 'public';
    const kind = isPublic ? 'public' : resolved[0];
    if (kind !== undefined) kinds.set(hostname, kind);
  }

  return {
    zoneOf(url, sentBy) {
      if (configured.has(url.host)) return 'anywhere';
      if (sentBy === undefined) return 'registry';
      const kind = kindOfHostname(sentBy.hostname) ?? kinds.get(sentBy.hostname);
      return kind === 'private' || kind === 'loopback' ? 'registry' : 'public';
    },
    // Literal addresses are not resolved, and a proxy resolves names itself.
    allows: ({ hostname }, zone) => isAllowed(kindOfHostname(hostname) ?? 'public', zone),
    lookup: (zone) => (hostname, lookupOptions, callback) => {
      resolve(hostname, { ...lookupOptions, all: true }, (error, addresses) => {
        if (error !== null) return callback(error, []);
        const resolved = addresses.map(({ address }) => kindOfAddress(address));
        if (!resolved.every((kind) => isAllowed(kind, zone))) {
          const forbidden = Object.assign(new Error('forbidden address'), { code: forbiddenCode });
          return callback(forbidden, []);
        }
        const [first] = addresses;
        if (first === undefined) {
          return callback(Object.assign(new Error('no address'), { code: 'ENOTFOUND' }), []);
        }
        remember(hostname, resolved);
        if (lookupOptions.all === true) return callback(null, addresses);
        callback(null, first.address, first.family);
      });
    },
  };
}

/** Normalised as in URLs, without default ports: `Registry.example.com:443` → `registry.example.com`. */
function toHosts(host: string): readonly string[] {
  return ['https', 'http'].flatMap((protocol) => URL.parse(`${protocol}://${host}`)?.host ?? []);
}
