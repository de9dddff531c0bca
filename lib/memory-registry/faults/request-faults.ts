import { type ErrorCode, type Middleware, respondError } from '../http/index.ts';

/** Closes the connection without a response. An in-process request rejects as `fetch` does. */
export function dropConnection(): Middleware {
  return async ({ connection }) => {
    if (connection === undefined) throw connectionReset();
    return connection.destroy();
  };
}

export interface AnswerOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** @default an error body with a code that fits the status */
  readonly body?: string;
}

const codes: ReadonlyMap<number, ErrorCode> = new Map([
  [401, 'UNAUTHORIZED'],
  [403, 'DENIED'],
  [404, 'NAME_UNKNOWN'],
  [405, 'UNSUPPORTED'],
  [429, 'TOOMANYREQUESTS'],
  [503, 'UNAVAILABLE'],
]);

/** Responds without executing the request: 429 with `Retry-After`, or the HTML 502 of a proxy. */
export function answer(status: number, { headers = {}, body }: AnswerOptions = {}): Middleware {
  return async () => {
    if (status === 204) return new Response(null, { status, headers });
    return body === undefined
      ? respondError(codes.get(status) ?? 'UNKNOWN', { status, headers })
      : new Response(body, { status, headers });
  };
}

/** Redirects, as a registry in front of an object store does. @param to receives the requested URL */
export function redirect(to: (url: URL) => string, status: 303 | 307 = 307): Middleware {
  return async ({ url }) => new Response(null, { status, headers: { location: to(url) } });
}

/** Rejects an upload once `afterBytes` have arrived, by default with 413, as a proxy with a body limit does. */
export function rejectUpload(afterBytes: number, status = 413): Middleware {
  return async ({ body }) => {
    let received = 0;
    for await (const chunk of body) {
      received += chunk.length;
      if (received >= afterBytes) break;
    }
    // Without "Connection: close", Node reads the rest, as real servers do, so that the response arrives.
    return respondError('UNKNOWN', { status, message: 'request entity too large' });
  };
}

/** Rejects a mount: starts an upload session instead, or responds with `status`. */
export function refuseMount(status?: number): Middleware {
  return async (exchange, next) => {
    if (!exchange.url.searchParams.has('mount')) return await next(exchange);
    if (status !== undefined) return await answer(status)(exchange, next);
    const url = new URL(exchange.url);
    url.searchParams.delete('mount');
    url.searchParams.delete('from');
    return await next({ ...exchange, url });
  };
}

export interface Hold {
  readonly fault: Middleware;
  /** Resolves when that many requests are held. @default one */
  readonly waiting: (count?: number) => Promise<void>;
  /** Releases the held requests; later ones are not held. */
  readonly release: () => void;
}

/** Holds requests until the test releases them. */
export function createHold(): Hold {
  const opened = Promise.withResolvers<undefined>();
  let arrival = Promise.withResolvers<undefined>();
  let held = 0;
  const waiting = async (count = 1): Promise<void> => {
    if (held >= count) return;
    await arrival.promise;
    await waiting(count);
  };
  return {
    fault: async (exchange, next) => {
      held += 1;
      arrival.resolve(undefined);
      arrival = Promise.withResolvers();
      await opened.promise;
      held -= 1;
      return await next(exchange);
    },
    waiting,
    release: () => opened.resolve(undefined),
  };
}

/** The error of a client whose connection was reset. */
export function connectionReset(): Error {
  return Object.assign(new Error('connection reset'), { code: 'ECONNRESET' });
}
