import type { Middleware } from '../http/index.ts';
import { connectionReset } from './request-faults.ts';

type Chunks = AsyncIterable<Uint8Array>;

/** Sets response headers; `undefined` removes one: `changeHeaders({ 'docker-content-digest': undefined })`. */
export function changeHeaders(changes: Readonly<Record<string, string | undefined>>): Middleware {
  return async (exchange, next) => {
    const response = await next(exchange);
    const headers = new Headers(response.headers);
    for (const [name, value] of Object.entries(changes)) {
      if (value === undefined) headers.delete(name);
      else headers.set(name, value);
    }
    return withHeaders(response, headers);
  };
}

/** Rewrites `Location`: relative, another host, another scheme. @param rewrite receives the true location */
export function changeLocation(rewrite: (location: URL) => string): Middleware {
  return async (exchange, next) => {
    const response = await next(exchange);
    const location = response.headers.get('location');
    if (location === null) return response;
    const headers = new Headers(response.headers);
    headers.set('location', rewrite(new URL(location)));
    return withHeaders(response, headers);
  };
}

/** Sends `afterBytes` of the body and closes the connection. */
export function cutBody(afterBytes: number): Middleware {
  return async (exchange, next) => {
    const response = await next(exchange);
    if (response.body === null) return response;
    const { connection } = exchange;
    if (connection === undefined) return withBody(response, failAfter(response.body, afterBytes));
    const body = limit(response.body, afterBytes);
    return await connection.sendAndClose(response.status, response.headers, body);
  };
}

/** Sends a wrong `Content-Length` and closes the connection after the body. */
export function changeContentLength(length: number): Middleware {
  return async (exchange, next) => {
    const response = await next(exchange);
    const headers = new Headers(response.headers);
    headers.set('content-length', String(length));
    const { connection, method } = exchange;
    if (connection === undefined || response.body === null || method === 'HEAD') {
      return withHeaders(response, headers);
    }
    return await connection.sendAndClose(response.status, headers, response.body);
  };
}

/** Replaces the body of a response by a transformed one, and keeps its headers. */
export function changeBody(transform: (body: Chunks) => Chunks): Middleware {
  return async (exchange, next) => {
    const response = await next(exchange);
    return response.body === null ? response : withBody(response, transform(response.body));
  };
}

/** Flips one bit of the byte at this offset. */
export function corruptBody(at = 0): Middleware {
  return changeBody((body) => flip(body, at));
}

export interface Trickle {
  readonly fault: Middleware;
  /** Sends this many more bytes. */
  readonly release: (bytes: number) => void;
  /** Sends the rest, and later bodies without delay. */
  readonly releaseAll: () => void;
}

/** Sends the head at once, and of the body only the bytes that the test releases. */
export function createTrickle(): Trickle {
  let allowed = 0;
  let more = Promise.withResolvers<undefined>();
  const release = (bytes: number): void => {
    allowed += bytes;
    more.resolve(undefined);
    more = Promise.withResolvers();
  };
  const take = async (most: number): Promise<number> => {
    if (allowed === 0) {
      await more.promise;
      return await take(most);
    }
    const taken = Math.min(allowed, most);
    allowed -= taken;
    return taken;
  };
  async function* throttle(body: Chunks): AsyncGenerator<Uint8Array> {
    for await (const chunk of body) {
      let rest = chunk;
      while (rest.length > 0) {
        const taken = await take(rest.length);
        yield rest.subarray(0, taken);
        rest = rest.subarray(taken);
      }
    }
  }
  return {
    fault: changeBody(throttle),
    release,
    releaseAll: () => release(Number.POSITIVE_INFINITY),
  };
}

async function* limit(body: Chunks, bytes: number): AsyncGenerator<Uint8Array> {
  let left = bytes;
  for await (const chunk of body) {
    if (left > 0) yield chunk.subarray(0, left);
    left -= chunk.length;
    if (left <= 0) return;
  }
}

async function* failAfter(body: Chunks, bytes: number): AsyncGenerator<Uint8Array> {
  yield* limit(body, bytes);
  throw connectionReset();
}

async function* flip(body: Chunks, at: number): AsyncGenerator<Uint8Array> {
  let offset = 0;
  for await (const chunk of body) {
    const index = at - offset;
    offset += chunk.length;
    // `with` copies the chunk, so the stored bytes stay intact.
    yield index >= 0 && index < chunk.length
      ? chunk.with(index, (chunk.at(index) ?? 0) ^ 1)
      : chunk;
  }
}

function withHeaders({ body, status }: Response, headers: Headers): Response {
  return new Response(body, { status, headers });
}

function withBody({ status, headers }: Response, body: Chunks): Response {
  return new Response(ReadableStream.from(body), { status, headers });
}
