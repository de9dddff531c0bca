import { type BackoffOptions, createBackoff } from '../../../util/backoff.ts';
import type { Cooldown } from '../../../util/cooldown.ts';
import { type Authorizer, type MakeHeader, type Scope, scopesOf } from '../auth/index.ts';
import { RegistryError, toPlainHttpToHttpsError, toRegistryError } from '../errors/index.ts';
import {
  digestBody,
  drop,
  type HttpResponse,
  isPlainHttpToHttps,
  isRead,
  readBody,
  readErrorText,
  retryAfterOf,
} from '../http/index.ts';
import {
  createFollow,
  type FollowOptions,
  type FollowRequest,
  type Hop,
  type HopResponse,
} from './redirects.ts';
import { isWebPage, webPageError } from './web-page.ts';

/** A request to one registry. */
export interface RegistryRequest extends FollowRequest {
  readonly url: URL;
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

export interface TransportOptions
  extends BackoffOptions,
    Pick<FollowOptions, 'http' | 'onResponse'> {
  readonly registry: URL;
  readonly authorizer: Authorizer;
  /** Authenticates anonymously at another registry, to which a read was redirected. */
  readonly authorizerOfTarget: (target: URL) => Authorizer;
  /** Pauses after a 429, by `clientKey`; of other origins that the registry refers to, by origin. */
  readonly cooldown: Cooldown;
  /** Names the registry and the credentials: a registry limits each of its clients. */
  readonly clientKey: string;
  readonly maxAttempts: number;
  /** A request fails if the registry asks for a longer pause. */
  readonly maxRetryAfterMs: number;
  /** Whether images can do without its requests: a limit of these must not delay the others. @default false */
  readonly isOptional?: boolean;
  /** Milliseconds since 1970, for a `Retry-After` that is a date. */
  readonly wallClock: () => number;
}

export function createTransport(options: TransportOptions): Send {
  const { http, registry, authorizer, authorizerOfTarget, cooldown, clientKey } = options;
  const { maxAttempts, maxRetryAfterMs, isOptional = false, sleep, wallClock } = options;
  const backoff = createBackoff(options);
  const follow = createFollow({ http, onResponse: options.onResponse, beforeHop: waitForCooldown });

  const isOwn = ({ origin }: URL): boolean => origin === registry.origin;
  /** A limit belongs to the origin that answered. Other origins see no credentials, so all clients share their limits. */
  const limitKeyOf = (url: URL): string => (isOwn(url) ? clientKey : url.origin);

  const ownLimitKeyOf = (url: URL): string =>
    isOptional ? JSON.stringify(['optional', limitKeyOf(url)]) : limitKeyOf(url);

  return async function send(request, signal) {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await sendOnce(request, signal);
      } catch (error) {
        if (!(error instanceof RegistryError) || !error.isTransient) throw error;
        const { retryAfterMs = 0 } = error;
        // The caller restarts a stream.
        if (attempt >= (request.maxAttempts ?? maxAttempts) || typeof request.body === 'function')
          throw error;
        if (retryAfterMs > maxRetryAfterMs) throw error;
        if (retryAfterMs === 0) await backoff(attempt, signal);
        else await sleep(retryAfterMs, signal);
      }
    }
  };

  /** A rate limit counts for all requests of the client to that origin. */
  async function waitForCooldown(url: URL, step: string, signal: AbortSignal): Promise<void> {
    const keys = [limitKeyOf(url), ownLimitKeyOf(url)];
    const ms = Math.max(...keys.map((key) => cooldown.remainingMs(key)));
    if (ms > maxRetryAfterMs) {
      const message = `${step}: its rate limit ends in ${Math.ceil(ms / 1000)} s`;
      const host = isOwn(url) ? undefined : url.host;
      throw new RegistryError('RATE_LIMITED', message, { retryAfterMs: ms, host });
    }
    if (ms > 0) await sleep(ms, signal);
  }

  async function sendOnce(
    request: RegistryRequest,
    signal: AbortSignal,
  ): Promise<RegistryResponse> {
    const { url, step } = request;
    await waitForCooldown(url, step, signal);
    // The `Location` of an upload may name another origin, which gets no credentials.
    const authorization = isOwn(url)
      ? await authorizer.authorization(request.scopes, signal)
      : undefined;
    const start: Hop = { url, sentBy: isOwn(url) ? undefined : registry, authorization };
    const first = await follow(request, start, signal);
    const response = await authenticate(request, first, signal);
    if (request.expect.includes(response.status)) return await readExpected(response, request);
    throw await toError(request, response);
  }

  /** Repeats a request once if it failed for its credentials. */
  async function authenticate(
    request: RegistryRequest,
    response: HopResponse,
    signal: AbortSignal,
  ): Promise<HopResponse> {
    const { status, url } = response;
    if (status === 401) return await answerChallenge(request, response, signal);
    if (!isOwn(url) || typeof request.body === 'function') return response;
    const makeHeader = await findHeader(request, response, signal);
    return makeHeader === undefined
      ? response
      : await repeat(request, response, makeHeader, signal);
  }

  /** Some registries answer another status than 401 to missing or expired credentials. */
  async function findHeader(
    request: RegistryRequest,
    { status, authorization }: HopResponse,
    signal: AbortSignal,
  ): Promise<MakeHeader | undefined> {
    const { scopes, expect } = request;
    if (status === 400 && !expect.includes(status)) return authorizer.renew(scopes, authorization);
    if ((status !== 403 && status !== 404) || !isRead(request)) return undefined;
    return await authorizer.discoverChallenge(scopes, authorization, signal);
  }

  async function repeat(
    request: RegistryRequest,
    response: HopResponse,
    makeHeader: MakeHeader,
    signal: AbortSignal,
  ): Promise<HopResponse> {
    await drop(response);
    const authorization = await makeHeader(signal);
    return await follow(request, { url: request.url, sentBy: undefined, authorization }, signal);
  }

  async function toError(request: RegistryRequest, response: HopResponse): Promise<RegistryError> {
    const { step } = request;
    const { status, url, authorization } = response;
    const text = await readErrorText(response, step);
    if (isPlainHttpToHttps(request, response, text)) {
      const { url } = request;
      return toPlainHttpToHttpsError({ url, isListedAsInsecure: http.isListedAsInsecure(url) });
    }
    if (status < 300 && isWebPage(response)) return webPageError(step, response);
    // Signed URLs of an object store expire; the registry makes a new one, so this is no verdict on the image.
    if (status === 403 && isOwn(request.url) && !isOwn(url) && authorization === undefined) {
      const message = `${step}: the storage that it redirects to denied access (403)`;
      return new RegistryError('UNAVAILABLE', message, {
        status,
        isTransient: true,
        host: url.host,
      });
    }
    const error = toRegistryError(step, {
      status,
      text,
      isRead: isRead(request),
      ...(isOwn(url) ? { use: authorizer.useOf(response) } : { host: url.host }),
      retryAfter: retryAfterOf(response),
      now: wallClock(),
      transientCodes: request.transientCodes,
    });
    if (error.reason === 'RATE_LIMITED')
      cooldown.start(ownLimitKeyOf(url), error.retryAfterMs ?? 0);
    return error;
  }

  /** A challenge belongs to the origin that sent it. */
  async function answerChallenge(
    request: RegistryRequest,
    response: HopResponse,
    signal: AbortSignal,
  ): Promise<HopResponse> {
    if (!isOwn(response.url)) return await answerTarget(request, response, signal);
    const makeHeader = authorizer.onChallenge(response, request.scopes, response.authorization);
    if (makeHeader === undefined) return response;
    // The token expired during the upload. The caller restarts the stream, with the answer to the challenge.
    if (typeof request.body === 'function') {
      await drop(response);
      const message = `${request.step}: it asked for credentials during the upload`;
      throw new RegistryError('DENIED', message, { status: 401, isTransient: true });
    }
    return await repeat(request, response, makeHeader, signal);
  }

  /** Another registry, to which a read was redirected, gets a request with its own anonymous token. */
  async function answerTarget(
    request: RegistryRequest,
    response: HopResponse,
    signal: AbortSignal,
  ): Promise<HopResponse> {
    const { url, sentBy } = response;
    if (!isOwn(request.url) || !isRead(request)) return response;
    const asked = scopesOf([response.headers['www-authenticate'] ?? []].flat());
    const scopes = asked.length > 0 ? asked : request.scopes;
    const makeHeader = authorizerOfTarget(url).onChallenge(response, scopes, undefined);
    if (makeHeader === undefined) return response;
    await drop(response);
    return await follow(request, { url, sentBy, authorization: await makeHeader(signal) }, signal);
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
