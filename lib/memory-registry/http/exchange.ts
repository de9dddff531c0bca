import type { Bytes } from '../images/index.ts';
import type { Connection } from './connection.ts';
import type { Target } from './target.ts';

/** One request and what its handlers need to answer it. */
export interface Exchange {
  readonly method: string;
  /** As the client addressed the registry; its origin is that of `Location` headers. */
  readonly url: URL;
  readonly headers: Headers;
  readonly target: Target;
  /** Can be read once. */
  readonly body: AsyncIterable<Bytes>;
  readonly connection: Connection | undefined;
}

export type Handler = (exchange: Exchange) => Promise<Response>;

export type Middleware = (exchange: Exchange, next: Handler) => Promise<Response>;

/** Wraps `handler` in the middlewares; the first one is the outermost. */
export function compose(middlewares: readonly Middleware[], handler: Handler): Handler {
  return middlewares.reduceRight<Handler>(
    (next, middleware) => (exchange) => middleware(exchange, next),
    handler,
  );
}

/** Reads the whole body; `undefined` if it is larger than `maxBytes`. */
export async function readBody(
  body: AsyncIterable<Bytes>,
  maxBytes: number,
): Promise<Bytes | undefined> {
  const chunks: Bytes[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > maxBytes) return undefined;
    chunks.push(chunk);
  }
  return Uint8Array.from(Buffer.concat(chunks));
}
