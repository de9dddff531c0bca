import { RegistryError } from '../errors/index.ts';

/**
 * Reads the `Location` of an upload: relative, absolute, on another host. Behind a proxy that told the registry nothing of
 * https it says http, or loses the port. Throws `RegistryError` `REFUSED`.
 */
export function parseUploadLocation(text: string | undefined, from: URL): URL {
  if (text === undefined || !URL.canParse(text, from)) {
    throw new RegistryError('REFUSED', 'starting an upload: it did not say where to');
  }
  const location = new URL(text, from);
  if (from.protocol !== 'https:') return location;
  if (location.hostname === from.hostname) {
    location.protocol = 'https:';
    if (location.port === '' || location.port === '80') location.port = from.port;
  }
  if (location.protocol !== 'https:') {
    throw new RegistryError('REFUSED', 'starting an upload: it leads from https to plain http');
  }
  return location;
}

/** The URL that ends an upload. What the query held is sent back to the letter: it may be signed. */
export function withDigest(location: URL, digest: string): URL {
  const url = new URL(location);
  const own = `digest=${encodeURIComponent(digest)}`;
  url.search = url.search === '' ? own : `${url.search}&${own}`;
  return url;
}
