import type { Bytes } from '../images/index.ts';
import type { Target } from './target.ts';

/** The connection under a request, where there is one: a registry that is called in the process has none. */
export interface Wire {
  /** Closes it without a word. */
  readonly destroy: () => void;
  /** Sends this head and these bytes as they are, however they disagree, and closes it once they are out. */
  readonly sendAndClose: (
    status: number,
    headers: Headers,
    body: AsyncIterable<Uint8Array>,
  ) => Promise<void>;
  /** What `sendAndClose` has sent so far. */
  readonly sent: () => { readonly status: number; readonly bytes: number } | undefined;
  /** For whoever called: there is nothing left to send. */
  readonly answered: Response;
}

/** One request on its way through the registry. */
export interface Exchange {
  readonly method: string;
  readonly url: URL;
  readonly headers: Headers;
  readonly target: Target;
  /** To be read once. */
  readonly body: AsyncIterable<Bytes>;
  readonly wire?: Wire;
}

export type Handler = (exchange: Exchange) => Promise<Response>;

/** What stands between the caller and a handler. */
export type Middleware = (exchange: Exchange, next: Handler) => Promise<Response>;

/** The first one is the outermost. */
export function compose(middlewares: readonly Middleware[], handler: Handler): Handler {
  return middlewares.reduceRight<Handler>(
    (next, middleware) => (exchange) => middleware(exchange, next),
    handler,
  );
}

/** What an absolute URL to this registry begins with, in the caller's words: `http://127.0.0.1:40123`. */
export function originOf({ url }: Pick<Exchange, 'url'>): string {
  return url.origin;
}

/** The whole body, or `undefined` for more than so many bytes. */
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
