import { lookup as systemLookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { createBoundedMap } from '../../../util/bounded-map.ts';
import { type AddressKind, kindOfAddress, literalAddress } from './address.ts';

/**
 * How far a request may go: `anywhere` where an administrator named the host; where others did, to what a `registry` of
 * theirs may be; and where a public registry sent us, to what is `public` as well.
 */
export type EgressZone = 'anywhere' | 'registry' | 'public';

export interface EgressPolicyOptions {
  /** `host` or `host:port` that the administrator named: they may be anywhere. */
  readonly configuredHosts: readonly string[];
  /** Inside a cluster loopback is our own pod and nobody's registry. */
  readonly insideCluster: boolean;
  /** @default the system's */
  readonly lookup?: typeof systemLookup;
}

/** Decides where requests may go. */
export interface EgressPolicy {
  /** @param sentBy the host that sent us to `url`, where that is not the registry's own */
  of(url: URL, sentBy: URL | undefined): EgressZone;
  /** Whether the host of `url` may be called, as far as that can be said before it is looked up. */
  allows(url: URL, zone: EgressZone): boolean;
  /** Looks names up; fails with `EFORBIDDEN` for addresses that may not be called. */
  lookup(zone: EgressZone): LookupFunction;
}

export const forbiddenCode = 'EFORBIDDEN';
const maxRemembered = 1_000;

export function createEgressPolicy(options: EgressPolicyOptions): EgressPolicy {
  const { insideCluster, lookup: resolve = systemLookup } = options;
  const configured = new Set(options.configuredHosts.flatMap(toHosts));
  const kinds = createBoundedMap<string, AddressKind>(maxRemembered);

  function isAllowed(kind: AddressKind, zone: EgressZone): boolean {
    if (zone === 'anywhere' || kind === 'public') return true;
    if (zone === 'public' || kind === 'forbidden') return false;
    return kind === 'private' || !insideCluster;
  }

  /** A name that was public once, or in part, stays public: else it could change its mind between a request and a redirect. */
  function remember(hostname: string, found: readonly AddressKind[]): void {
    const isPublic = found.includes('public') || kinds.get(hostname) === 'public';
    const kind = isPublic ? 'public' : found[0];
    if (kind !== undefined) kinds.set(hostname, kind);
  }

  return {
    of(url, sentBy) {
      if (configured.has(url.host)) return 'anywhere';
      if (sentBy === undefined) return 'registry';
      const kind = kindOfLiteral(sentBy.hostname) ?? kinds.get(sentBy.hostname);
      return kind === 'private' || kind === 'loopback' ? 'registry' : 'public';
    },
    // A literal address is never looked up, and a proxy looks up for itself.
    allows: ({ hostname }, zone) => isAllowed(kindOfLiteral(hostname) ?? 'public', zone),
    lookup: (zone) => (hostname, lookupOptions, callback) => {
      resolve(hostname, { ...lookupOptions, all: true }, (error, addresses) => {
        if (error !== null) return callback(error, []);
        const found = addresses.map(({ address }) => kindOfAddress(address));
        if (!found.every((kind) => isAllowed(kind, zone))) {
          const refusal = Object.assign(new Error('forbidden address'), { code: forbiddenCode });
          return callback(refusal, []);
        }
        const [first] = addresses;
        if (first === undefined) {
          return callback(Object.assign(new Error('no address'), { code: 'ENOTFOUND' }), []);
        }
        remember(hostname, found);
        if (lookupOptions.all === true) return callback(null, addresses);
        callback(null, first.address, first.family);
      });
    },
  };
}

function kindOfLiteral(hostname: string): AddressKind | undefined {
  if (/(^|\.)localhost\.?$/.test(hostname)) return 'loopback';
  const literal = literalAddress(hostname);
  return literal === undefined ? undefined : kindOfAddress(literal);
}

/** As URLs say it, which leave out the port of their protocol: `Registry.example.com:443` → `registry.example.com`. */
function toHosts(host: string): readonly string[] {
  return ['https', 'http']
    .map((protocol) => `${protocol}://${host}`)
    .filter((url) => URL.canParse(url))
    .map((url) => new URL(url).host);
}
