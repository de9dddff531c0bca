import { type BackoffOptions, createBackoff } from '../../../util/backoff.ts';
import type { Cooldown } from '../../../util/cooldown.ts';
import type { Authorizer, Scope } from '../auth/index.ts';
import { RegistryError, toRegistryError } from '../errors/index.ts';
import {
  digestBody,
  drop,
  type Http,
  type HttpRequest,
  type HttpResponse,
  headerOf,
  readBody,
  redirectOf,
} from '../http/index.ts';

/** A request to one registry. */
export interface RegistryRequest extends Omit<HttpRequest, 'sentBy' | 'body' | 'signal'> {
  readonly scopes: readonly Scope[];
  /** Statuses that are returned; every other one is thrown. */
  readonly expect: readonly number[];
  /** Reads the whole body, up to this size, so that a body cut short is a retry. @default the caller reads the body */
  readonly maxBytes?: number;
  /** Of the body, keeps only the digest, in the algorithm of the digest that this returns. @default keeps the bytes */
  readonly digestLike?: (response: Pick<HttpResponse, 'headers'>) => string | undefined;
  /** @default that of the transport */
  readonly maxAttempts?: number;
  /** Error codes that are transient for this request only. */
  readonly transientCodes?: readonly string[];
  /** A function is sent once: neither a challenge nor a failure repeats it. */
  readonly body?: Uint8Array | (() => Uint8Array | AsyncIterable<Uint8Array>);
}

export interface RegistryResponse extends HttpResponse {
  /** After redirects. */
  readonly url: URL;
  /** Present with `maxBytes`. */
  readonly bytes?: Uint8Array;
  /** Present with `digestLike`. */
  readonly digest?: string;
}

/** Sends requests with redirects, credentials and retries. Throws `RegistryError`. */
export type Send = (request: RegistryRequest, signal: AbortSignal) => Promise<RegistryResponse>;

/** Sends a read below one repository; resolves with `undefined` for a status in `absent`. */
export type SendRead = (
  request: Pick<
    RegistryRequest,
    'method' | 'headers' | 'maxBytes' | 'digestLike' | 'maxAttempts' | 'step'
  > & {
    /** `manifests/1.27` */
    readonly path: string;
  },
  absent: readonly number[],
  signal: AbortSignal,
) => Promise<RegistryResponse | undefined>;

export interface TransportOptions extends BackoffOptions {
  readonly http: Http;
  readonly registry: URL;
  readonly authorizer: Authorizer;
  /** Pauses after a 429, by `clientKey`. */
  readonly cooldown: Cooldown;
  /** Names the registry and the credentials: a registry limits each of its clients. */
  readonly clientKey: string;
  readonly maxAttempts: number;
  /** A request fails if the registry asks for a longer pause. */
  readonly maxRetryAfterMs: number;
  /** Milliseconds since 1970, for a `Retry-After` that is a date. */
  readonly wallClock: () => number;
  readonly onResponse?:
    | ((response: {
        readonly url: URL;
        readonly method: string;
        readonly status: number;
        readonly headers: HttpResponse['headers'];
      }) => void)
    | undefined;
}

const maxRedirects = 5;
const maxErrorBytes = 64 * 1024;

export function createTransport(options: TransportOptions): Send {
  const { http, registry, authorizer, cooldown, clientKey } = options;
  const { maxAttempts, maxRetryAfterMs, sleep, wallClock } = options;
  const backoff = createBackoff(options);

  const isOwn = ({ origin }: URL): boolean => origin === registry.origin;

  return async function send(request, signal) {
    for (let attempt = 1; ; attempt += 1) {
      await waitForCooldown(request, signal);
      try {
        return await sendOnce(request, signal);
      } catch (error) {
        if (!(error instanceof RegistryError) || !error.isTransient) throw error;
        const { reason, retryAfterMs = 0 } = error;
        if (reason === 'RATE_LIMITED') cooldown.start(clientKey, retryAfterMs);
        // The caller restarts a stream.
        if (attempt >= (request.maxAttempts ?? maxAttempts) || typeof request.body === 'function')
          throw error;
        if (retryAfterMs > maxRetryAfterMs) throw error;
        if (retryAfterMs === 0) await backoff(attempt, signal);
        else if (reason !== 'RATE_LIMITED') await sleep(retryAfterMs, signal);
      }
    }
  };

  /** A rate limit counts for all requests of the client. */
  async function waitForCooldown({ step }: RegistryRequest, signal: AbortSignal): Promise<void> {
    const ms = cooldown.remainingMs(clientKey);
    if (ms > maxRetryAfterMs) {
      const message = `${step}: its rate limit ends in ${Math.ceil(ms / 1000)} s`;
      throw new RegistryError('RATE_LIMITED', message, { retryAfterMs: ms });
    }
    if (ms > 0) await sleep(ms, signal);
  }

  async function sendOnce(
    request: RegistryRequest,
    signal: AbortSignal,
  ): Promise<RegistryResponse> {
    // The `Location` of an upload may name another origin, which gets no credentials.
    const used = isOwn(request.url)
      ? await authorizer.authorization(request.scopes, signal)
      : undefined;
    const first = await follow(request, used, signal);
    const response =
      first.status === 401 ? await answerChallenge(request, first, used, signal) : first;
    if (request.expect.includes(response.status)) return await readExpected(response, request);
    const { status } = response;
    const text = await readError(response, request.step);
    const foreignRealm =
      status === 401 && isOwn(response.url) ? authorizer.foreignRealmError(response) : undefined;
    if (foreignRealm !== undefined) throw foreignRealm;
    // Signed URLs of an object store expire; the registry makes a new one, so this is no verdict on the image.
    if (status === 403 && isOwn(request.url) && !isOwn(response.url)) {
      const message = `${request.step}: the storage that it redirects to denied access (403)`;
      throw new RegistryError('UNAVAILABLE', message, { status, isTransient: true });
    }
    throw toRegistryError(request.step, {
      status,
      text,
      retryAfter: retryAfterOf(response),
      now: wallClock(),
      transientCodes: request.transientCodes,
    });
  }

  async function answerChallenge(
    request: RegistryRequest,
    challenge: RegistryResponse,
    used: string | undefined,
    signal: AbortSignal,
  ): Promise<RegistryResponse> {
    // A challenge counts only if the registry itself sent it.
    if (!isOwn(request.url) || !isOwn(challenge.url)) return challenge;
    const makeHeader = authorizer.onChallenge(challenge, request.scopes, used);
    if (makeHeader === undefined) return challenge;
    await drop(challenge);
    // The token expired during the upload. The caller restarts the stream, with the answer to the challenge.
    if (typeof request.body === 'function') {
      const message = `${request.step}: it asked for credentials during the upload`;
      throw new RegistryError('DENIED', message, { status: 401, isTransient: true });
    }
    return await follow(request, await makeHeader(signal), signal);
  }

  async function follow(
    request: RegistryRequest,
    authorization: string | undefined,
    signal: AbortSignal,
  ): Promise<RegistryResponse> {
    const { method, headers, body, step } = request;
    let { url } = request;
    let sentBy = isOwn(url) ? undefined : registry;
    // A redirect back to the registry does not bring the credentials back: another host chose that URL.
    let sendsCredentials = sentBy === undefined;
    for (let hop = 0; ; hop += 1) {
      const bytes = typeof body === 'function' ? body() : body;
      const response = await http.send({
        method,
        url,
        headers: {
          ...headers,
          ...(sendsCredentials && authorization !== undefined && { authorization }),
        },
        ...(bytes !== undefined && { body: bytes }),
        signal,
        step,
        ...(sentBy !== undefined && { sentBy }),
      });
      options.onResponse?.({ url, method, status: response.status, headers: response.headers });
      const next = redirectOf(response, url, request);
      if (next === undefined) return { ...response, url };
      await drop(response);
      if (hop >= maxRedirects) {
        const message = `${step}: it redirects more than ${maxRedirects} times`;
        throw new RegistryError('REFUSED', message);
      }
      sentBy = url;
      sendsCredentials = sendsCredentials && isOwn(next);
      url = next;
    }
  }
}

async function readExpected(
  response: RegistryResponse,
  { maxBytes, digestLike, step }: RegistryRequest,
): Promise<RegistryResponse> {
  if (maxBytes === undefined || response.status >= 300) return response;
  return digestLike === undefined
    ? { ...response, bytes: await readBody(response, maxBytes, step) }
    : { ...response, digest: await digestBody(response, maxBytes, step, digestLike(response)) };
}

/** `Retry-After`, Docker Hub's variant of it, or the end of a rate limit that was reached. */
function retryAfterOf(response: RegistryResponse): string | undefined {
  const value = headerOf(response, 'retry-after') ?? headerOf(response, 'x-retry-after');
  if (value !== undefined || response.status !== 429) return value;
  return headerOf(response, 'ratelimit-reset') ?? headerOf(response, 'x-ratelimit-reset');
}

async function readError(response: RegistryResponse, step: string): Promise<string> {
  try {
    return new TextDecoder().decode(await readBody(response, maxErrorBytes, step));
  } catch {
    // The status is enough.
    return '';
  }
}
