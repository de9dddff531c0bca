import { RegistryError } from '../errors/index.ts';
import { drop, type Http, type HttpRequest, type HttpResponse, redirectOf } from '../http/index.ts';

export interface FollowRequest extends Omit<HttpRequest, 'url' | 'sentBy' | 'body' | 'signal'> {
  /** A function is sent once: neither a redirect, a challenge nor a failure repeats it. */
  readonly body?: Uint8Array | (() => Uint8Array | AsyncIterable<Uint8Array>);
}

/** One URL in a chain of redirects. */
export interface Hop {
  readonly url: URL;
  /** The host that named `url`, unless `url` is the registry itself. */
  readonly sentBy: URL | undefined;
  /** Sent to the origin of `url` only. */
  readonly authorization: string | undefined;
}

/** A response, and the hop that it answers. */
export interface HopResponse extends HttpResponse, Hop {}

export interface FollowOptions {
  readonly http: Pick<Http, 'send' | 'isListedAsInsecure'>;
  /** Called before each request; rejects if `url` must not be called now. */
  readonly beforeHop: (url: URL, step: string, signal: AbortSignal) => Promise<void>;
  readonly onResponse?:
    | ((response: {
        readonly url: URL;
        readonly method: string;
        readonly status: number;
        readonly headers: HttpResponse['headers'];
      }) => void)
    | undefined;
}

/** Sends a request, follows its redirects, and resolves with the last response. */
export type Follow = (
  request: FollowRequest,
  start: Hop,
  signal: AbortSignal,
) => Promise<HopResponse>;

const maxRedirects = 5;

export function createFollow({ http, beforeHop, onResponse }: FollowOptions): Follow {
  return async function follow(request, start, signal) {
    const { method, headers, body, step } = request;
    let hop = start;
    for (let hops = 0; ; hops += 1) {
      const { url, sentBy, authorization } = hop;
      await beforeHop(url, step, signal);
      const bytes = typeof body === 'function' ? body() : body;
      const response = await http.send({
        method,
        url,
        headers: { ...headers, ...(authorization !== undefined && { authorization }) },
        ...(bytes !== undefined && { body: bytes }),
        signal,
        step,
        ...(sentBy !== undefined && { sentBy }),
      });
      onResponse?.({ url, method, status: response.status, headers: response.headers });
      const next = redirectOf(response, url, request);
      if (next === undefined) return { ...response, ...hop };
      await drop(response);
      if (hops >= maxRedirects) {
        const message = `${step}: it redirects more than ${maxRedirects} times`;
        throw new RegistryError('REFUSED', message);
      }
      // A redirect back does not bring the credentials back: another host chose that URL.
      const isSameOrigin = next.origin === url.origin;
      hop = { url: next, sentBy: url, authorization: isSameOrigin ? authorization : undefined };
    }
  };
}
