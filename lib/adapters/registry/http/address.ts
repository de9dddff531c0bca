import { BlockList, isIP } from 'node:net';

/** Classes of IP addresses for the egress policy. */
export type AddressKind = 'public' | 'private' | 'loopback' | 'forbidden';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** Link-local (cloud metadata), unspecified, multicast and reserved addresses, and metadata addresses in other ranges. */
const forbidden = new BlockList();
forbidden.addSubnet('169.254.0.0', 16, 'ipv4');
forbidden.addSubnet('0.0.0.0', 8, 'ipv4');
forbidden.addSubnet('224.0.0.0', 3, 'ipv4');
forbidden.addAddress('::', 'ipv6');
forbidden.addSubnet('fe80::', 10, 'ipv6');
forbidden.addSubnet('ff00::', 8, 'ipv6');
// Alibaba, Oracle (former), Azure's wire server.
forbidden.addAddress('100.100.100.200', 'ipv4');
forbidden.addAddress('192.0.0.192', 'ipv4');
forbidden.addAddress('168.63.129.16', 'ipv4');
// Amazon (metadata and the credentials of EKS pods), Google, Oracle, Alibaba, Scaleway, Akamai.
forbidden.addSubnet('fd00:ec2::', 32, 'ipv6');
forbidden.addAddress('fd20:ce::254', 'ipv6');
forbidden.addAddress('fd00:c1::a9fe:a9fe', 'ipv6');
forbidden.addAddress('fd00:100::100:200', 'ipv6');
forbidden.addAddress('fd00:42::42', 'ipv6');
forbidden.addAddress('fd00:a9fe:a9fe::1', 'ipv6');

const privates = new BlockList();
privates.addSubnet('10.0.0.0', 8, 'ipv4');
privates.addSubnet('172.16.0.0', 12, 'ipv4');
privates.addSubnet('192.168.0.0', 16, 'ipv4');
privates.addSubnet('100.64.0.0', 10, 'ipv4');
privates.addSubnet('198.18.0.0', 15, 'ipv4');
privates.addSubnet('fc00::', 7, 'ipv6');
privates.addSubnet('fec0::', 10, 'ipv6');
// Local NAT64 leads to any address of the local network (RFC 8215).
privates.addSubnet('64:ff9b:1::', 48, 'ipv6');

/** Classifies an address; IPv4 embedded in IPv6 counts as IPv4. */
export function kindOfAddress(address: string): AddressKind {
  const canonical = toCanonical(address);
  const family = isIP(canonical) === 6 ? 'ipv6' : 'ipv4';
  if (isIP(canonical) === 0 || forbidden.check(canonical, family)) return 'forbidden';
  if (loopback.check(canonical, family)) return 'loopback';
  return privates.check(canonical, family) ? 'private' : 'public';
}

/** The IP address in a URL's host name, if there is one; the URL parser has normalised `0x7f.1` and `2130706433`. */
export function literalAddress(hostname: string): string | undefined {
  const bare = hostname.replace(/^\[|\]$/g, '');
  return isIP(bare) === 0 ? undefined : bare;
}

/** Classifies a URL's host name; `undefined` if it must be resolved. */
export function kindOfHostname(hostname: string): AddressKind | undefined {
  if (/(^|\.)localhost\.?$/.test(hostname)) return 'loopback';
  const literal = literalAddress(hostname);
  return literal === undefined ? undefined : kindOfAddress(literal);
}

/** Strips the zone and extracts embedded IPv4. */
function toCanonical(address: string): string {
  const bare = address.replace(/%.*$/, '');
  if (isIP(bare) !== 6 || loopback.check(bare, 'ipv6')) return bare;
  const groups = groupsOf(bare);
  const embedded = embeddings.find(({ prefix }) => prefix.every((group, i) => groups[i] === group));
  if (embedded === undefined) return bare;
  const [high = 0, low = 0] = groups.slice(embedded.at, embedded.at + 2);
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}

/** `::ffff:127.0.0.1`, NAT64's `64:ff9b::127.0.0.1`, the deprecated `::127.0.0.1`, and 6to4's `2002:7f00:1::`. */
const embeddings: readonly { readonly prefix: readonly number[]; readonly at: number }[] = [
  { prefix: [0, 0, 0, 0, 0, 0xffff], at: 6 },
  { prefix: [0x64, 0xff9b, 0, 0, 0, 0], at: 6 },
  { prefix: [0, 0, 0, 0, 0, 0], at: 6 },
  { prefix: [0x2002], at: 1 },
];

/** The eight groups of an IPv6 address in any notation. */
function groupsOf(address: string): readonly number[] {
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [left = [], right = []] = canonical
    .split('::')
    .map((half) => half.split(':').filter((group) => group !== ''));
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => '0');
  return [...left, ...zeros, ...right].map((group) => Number.parseInt(group, 16));
}
