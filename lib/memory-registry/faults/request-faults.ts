import { type Exchange, type FailureCode, fail, type Middleware } from '../http/index.ts';

/** The connection ends without a word. In the process, the request is rejected as `fetch` would reject it. */
export function dropConnection(): Middleware {
  return async ({ wire }) => {
    if (wire === undefined) throw connectionLost();
    wire.destroy();
    return wire.answered;
  };
}

export interface AnswerOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** @default the form of an error, with a code that fits the status */
  readonly body?: string;
}

const codes: ReadonlyMap<number, FailureCode> = new Map([
  [401, 'UNAUTHORIZED'],
  [403, 'DENIED'],
  [404, 'NAME_UNKNOWN'],
  [405, 'UNSUPPORTED'],
  [429, 'TOOMANYREQUESTS'],
  [503, 'UNAVAILABLE'],
]);

/** Another answer: 429 with `Retry-After`, a 502 of some proxy in HTML. The request itself is not carried out. */
export function answer(status: number, { headers = {}, body }: AnswerOptions = {}): Middleware {
  return async () =>
    body === undefined
      ? fail(codes.get(status) ?? 'UNKNOWN', { status, headers })
      : new Response(body, { status, headers });
}

/** Sends the caller elsewhere, as registries before an object store do. @param to the URL, given the one that was asked for */
export function redirect(to: (asked: URL) => string, status = 307): Middleware {
  return async ({ url }) => new Response(null, { status, headers: { location: to(url) } });
}

/** Stops reading an upload after so many bytes and says so. @default 413, as a proxy with a limit would */
export function rejectUpload(afterBytes: number, status = 413): Middleware {
  return async ({ body }) => {
    let received = 0;
    for await (const chunk of body) {
      received += chunk.length;
      if (received >= afterBytes) break;
    }
    return fail('UNKNOWN', { status, message: 'request entity too large' });
  };
}

/** Never mounts: begins an upload instead, or answers with `status`. */
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
  /** Resolves when that many requests stand before it. @default one */
  readonly waiting: (count?: number) => Promise<void>;
  /** Lets them, and all that come later, go on. */
  readonly release: () => void;
}

/** Requests wait, unanswered, until they are released. */
export function createHold(): Hold {
  const opened = Promise.withResolvers<undefined>();
  const arrivals = new Set<() => void>();
  let held = 0;
  return {
    fault: async (exchange: Exchange, next) => {
      held += 1;
      for (const tell of arrivals) tell();
      await opened.promise;
      held -= 1;
      return await next(exchange);
    },
    waiting: async (count = 1) => {
      const enough = Promise.withResolvers<undefined>();
      const tell = (): void => {
        if (held >= count) enough.resolve(undefined);
      };
      arrivals.add(tell);
      tell();
      await enough.promise;
      arrivals.delete(tell);
    },
    release: () => opened.resolve(undefined),
  };
}

/** What a client sees of a connection that was cut. */
export function connectionLost(): Error {
  return Object.assign(new Error('the connection was closed'), { code: 'ECONNRESET' });
}
