import { createHash } from 'node:crypto';
import type { Dispatcher } from 'undici';
import { algorithmOf } from '../../../image/digest.ts';
import { monotonicClock } from '../../../util/clock.ts';
import { RegistryError, toConnectionError } from '../errors/index.ts';

export interface HttpResponse {
  readonly status: number;
  readonly headers: Dispatcher.ResponseData['headers'];
  /** Read it or `drop` it: until then the connection is in use. */
  readonly body: Dispatcher.ResponseData['body'];
}

/** For manifests, tokens and errors, which are small. */
const maxReadMs = 120_000;
const maxErrorBytes = 64 * 1024;
/** Most manifests are shorter. */
const firstCapacity = 8 * 1024;

interface Readable {
  readonly body: AsyncIterable<unknown>;
}

/** Reads a body of at most `maxBytes` within two minutes. `now` is a monotonic clock. */
export async function readBody(
  response: Readable,
  maxBytes: number,
  step: string,
  now?: () => number,
): Promise<Uint8Array> {
  // Not a list of chunks: a server may send each byte as a chunk of its own, which takes 150 bytes.
  let bytes = Buffer.allocUnsafe(firstCapacity);
  let length = 0;
  for await (const chunk of chunksOf(response, maxBytes, step, now)) {
    const needed = length + chunk.length;
    if (needed > bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, 2 * bytes.length));
      larger.set(bytes.subarray(0, length));
      bytes = larger;
    }
    bytes.set(chunk, length);
    length = needed;
  }
  return Buffer.from(bytes.subarray(0, length));
}

/** The body of an error, as text; empty if it cannot be read. */
export async function readErrorText(response: Readable, step: string): Promise<string> {
  try {
    return new TextDecoder().decode(await readBody(response, maxErrorBytes, step));
  } catch {
    // The status is enough.
    return '';
  }
}

/** Reads a body as `readBody` does, and keeps only its digest, in the algorithm of the digest `like`. */
export async function digestBody(
  response: Readable,
  maxBytes: number,
  step: string,
  like = 'sha256:',
): Promise<string> {
  const algorithm = algorithmOf(like);
  const hash = createHash(algorithm);
  for await (const chunk of chunksOf(response, maxBytes, step)) hash.update(chunk);
  return `${algorithm}:${hash.digest('hex')}`;
}

async function* chunksOf(
  { body }: Readable,
  maxBytes: number,
  step: string,
  now: () => number = monotonicClock.now,
): AsyncGenerator<Uint8Array> {
  const end = now() + maxReadMs;
  let length = 0;
  try {
    for await (const chunk of body) {
      if (!(chunk instanceof Uint8Array)) continue;
      length += chunk.length;
      if (now() > end) {
        const message = `${step}: the response takes longer than ${maxReadMs / 1000} s`;
        throw new RegistryError('UNAVAILABLE', message);
      }
      if (length > maxBytes) {
        const message = `${step}: the response is larger than ${maxBytes} bytes`;
        throw new RegistryError('UNSUPPORTED', message);
      }
      yield chunk;
    }
  } catch (error) {
    throw toConnectionError(step, error);
  }
}

/** Gives the connection back; closes it if the body is long. */
export async function drop({ body }: Pick<HttpResponse, 'body'>): Promise<void> {
  await body.dump({ limit: 64 * 1024 }).catch(() => undefined);
}

/** The value of a header; the first if there are several. */
export function headerOf(
  response: Pick<HttpResponse, 'headers'>,
  name: string,
): string | undefined {
  const value = response.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** A `Content-Type` without its parameters; empty if absent. */
export function parseMediaType(header: string | undefined): string {
  return header?.split(';')[0]?.trim().toLowerCase() ?? '';
}

/** `Retry-After`, Docker Hub's variant of it, or the end of a rate limit that was reached. */
export function retryAfterOf(
  response: Pick<HttpResponse, 'status' | 'headers'>,
): string | undefined {
  const value = headerOf(response, 'retry-after') ?? headerOf(response, 'x-retry-after');
  if (value !== undefined || response.status !== 429) return value;
  return headerOf(response, 'ratelimit-reset') ?? headerOf(response, 'x-ratelimit-reset');
}

/** Whether a request changes nothing at the registry. */
export function isRead({ method }: { readonly method: string }): boolean {
  return method === 'GET' || method === 'HEAD';
}

interface Redirectable {
  readonly method: string;
  readonly body?: unknown;
  readonly step: string;
}

/**
 * The target of a redirect, if the response is one. A write follows only 307 and 308, within one origin, and not with a stream,
 * which is sent once. Throws `RegistryError` for an invalid URL and from https to http.
 */
export function redirectOf(
  response: Pick<HttpResponse, 'status' | 'headers'>,
  from: URL,
  { method, body, step }: Redirectable,
): URL | undefined {
  const location = headerOf(response, 'location');
  const isSafe = isRead({ method });
  const statuses = isSafe ? [301, 302, 303, 307, 308] : [307, 308];
  if (location === undefined || !statuses.includes(response.status)) return undefined;
  if (typeof body === 'function') return undefined;
  const next = URL.parse(location, from);
  if (next === null) {
    throw new RegistryError('REFUSED', `${step}: it redirects to an invalid URL`);
  }
  if (from.protocol === 'https:' && next.protocol !== 'https:') {
    throw new RegistryError('REFUSED', `${step}: it redirects from https to plain http`);
  }
  return isSafe || next.origin === from.origin ? next : undefined;
}

/** The servers of Go and of nginx answer 400 to plain http on an https port. */
const spokenTls = /HTTP request (was )?(sent )?to (an )?HTTPS (server|port)/i;

/**
 * Whether a failed request in plain http met a server that speaks https: it says so, or it redirects there. Credentials do not follow
 * such a redirect, and most writes do not either.
 */
export function isPlainHttpToHttps(
  { method, url: from }: { readonly method: string; readonly url: URL },
  response: Pick<HttpResponse, 'status' | 'headers'> & { readonly url: URL },
  text: string,
): boolean {
  const { status, headers, url } = response;
  if (from.protocol !== 'http:' || url.hostname !== from.hostname) return false;
  // Go's server sends no header with that answer, and no body to a HEAD.
  const isBare = method === 'HEAD' && Object.keys(headers).length === 0;
  if (status === 400 && (spokenTls.test(text) || isBare)) return true;
  const location = URL.parse(headerOf(response, 'location') ?? '', url);
  const target = status >= 300 && status < 400 ? location : url;
  const isFailure = status < 400 || status === 401 || status === 403;
  return isFailure && target?.protocol === 'https:' && target.hostname === from.hostname;
}
