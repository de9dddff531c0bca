import { BlockList, isIP } from 'node:net';

/** What an IP address is good for, from our point of view. */
export type AddressKind = 'public' | 'private' | 'loopback' | 'forbidden';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** Link-local (cloud metadata lives there), unspecified, multicast, and AWS's metadata address in IPv6. */
const forbidden = new BlockList();
forbidden.addSubnet('169.254.0.0', 16, 'ipv4');
forbidden.addSubnet('0.0.0.0', 8, 'ipv4');
forbidden.addSubnet('224.0.0.0', 3, 'ipv4');
forbidden.addAddress('::', 'ipv6');
forbidden.addSubnet('fe80::', 10, 'ipv6');
forbidden.addSubnet('ff00::', 8, 'ipv6');
forbidden.addAddress('fd00:ec2::254', 'ipv6');
// Alibaba's metadata address is the one that is neither link-local nor private.
forbidden.addAddress('100.100.100.200', 'ipv4');

const privates = new BlockList();
privates.addSubnet('10.0.0.0', 8, 'ipv4');
privates.addSubnet('172.16.0.0', 12, 'ipv4');
privates.addSubnet('192.168.0.0', 16, 'ipv4');
privates.addSubnet('100.64.0.0', 10, 'ipv4');
privates.addSubnet('fc00::', 7, 'ipv6');

/** Sorts an address; IPv4 inside IPv6 counts as the IPv4 address that it is. */
export function kindOfAddress(address: string): AddressKind {
  const plain = unmap(address);
  const family = isIP(plain) === 6 ? 'ipv6' : 'ipv4';
  if (isIP(plain) === 0 || forbidden.check(plain, family)) return 'forbidden';
  if (loopback.check(plain, family)) return 'loopback';
  return privates.check(plain, family) ? 'private' : 'public';
}

/** The address in a URL's host, where that is one; WHATWG URLs have brought `0x7f.1` and `2130706433` into shape already. */
export function literalAddress(hostname: string): string | undefined {
  const bare = hostname.replace(/^\[|\]$/g, '');
  return isIP(bare) === 0 ? undefined : bare;
}

/** `::ffff:7f00:1` and `64:ff9b::7f00:1` (NAT64) → `127.0.0.1`. */
function unmap(address: string): string {
  const match = /^(?:::ffff:|64:ff9b::)(?:([\d.]+)|([0-9a-f]{1,4}):([0-9a-f]{1,4}))$/i.exec(
    address,
  );
  if (match === null) return address;
  const [, dotted, high = '', low = ''] = match;
  if (dotted !== undefined) return dotted;
  const [a, b] = [Number.parseInt(high, 16), Number.parseInt(low, 16)];
  return [a >> 8, a & 255, b >> 8, b & 255].join('.');
}
