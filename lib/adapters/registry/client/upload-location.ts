import { RegistryError } from '../errors/index.ts';

/**
 * Reads the `Location` of an upload. Corrects http and a lost port, which a registry sends if the proxy in front of it does
 * not forward the scheme. Throws `RegistryError` `REFUSED`.
 */
export function parseUploadLocation(text: string | undefined, from: URL): URL {
  const location = text === undefined ? null : URL.parse(text, from);
  if (location === null) {
    throw new RegistryError('REFUSED', 'starting an upload: its Location is missing or invalid');
  }
  if (from.protocol !== 'https:') return location;
  if (location.hostname === from.hostname) {
    location.protocol = 'https:';
    if (location.port === '' || location.port === '80') location.port = from.port;
  }
  if (location.protocol !== 'https:') {
    throw new RegistryError(
      'REFUSED',
      'starting an upload: its Location leads from https to plain http',
    );
  }
  return location;
}

/** The URL that ends an upload. It keeps the query unchanged, because the registry may have signed it. */
export function withDigest(location: URL, digest: string): URL {
  const url = new URL(location);
  const own = `digest=${encodeURIComponent(digest)}`;
  url.search = url.search === '' ? own : `${url.search}&${own}`;
  return url;
}
