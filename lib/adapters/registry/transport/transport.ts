import { type BackoffOptions, createBackoff } from '../../../util/backoff.ts';
import { RegistryError, toPlainHttpToHttpsError, toRegistryError } from '../errors/index.ts';
import {
  digestBody,
  isPlainHttpToHttps,
  isRead,
  readBody,
  readErrorText,
  retryAfterOf,
} from '../http/index.ts';
import { type AuthenticateOptions, createAuthenticate } from './authenticate.ts';
import { createLimits, type LimitsOptions } from './limits.ts';
import { createFollow, type FollowOptions, type Hop, type HopResponse } from './redirects.ts';
import { isOwn, type RegistryRequest, type RegistryResponse } from './request.ts';
import { isWebPage, webPageError } from './web-page.ts';

/** Sends requests with redirects, credentials and retries. Throws `RegistryError`. */
export type Send = (request: RegistryRequest, signal: AbortSignal) => Promise<RegistryResponse>;

export interface TransportOptions
  extends BackoffOptions,
    AuthenticateOptions,
    LimitsOptions,
    Pick<FollowOptions, 'http' | 'onResponse'> {
  readonly maxAttempts: number;
  /** Milliseconds since 1970, for a `Retry-After` that is a date. */
  readonly wallClock: () => number;
}

export function createTransport(options: TransportOptions): Send {
  const { http, onResponse, registry, authorizer } = options;
  const { maxAttempts, maxRetryAfterMs, sleep, wallClock } = options;
  const backoff = createBackoff(options);
  const limits = createLimits(options);
  const follow = createFollow({ http, onResponse, beforeHop: limits.wait });
  const authenticate = createAuthenticate(options, follow);

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

  async function sendOnce(
    request: RegistryRequest,
    signal: AbortSignal,
  ): Promise<RegistryResponse> {
    const { url, step } = request;
    await limits.wait(url, step, signal);
    // The `Location` of an upload may name another origin, which gets no credentials.
    const authorization = isOwn(url, registry)
      ? await authorizer.authorization(request.scopes, signal)
      : undefined;
    const start: Hop = { url, sentBy: isOwn(url, registry) ? undefined : registry, authorization };
    const first = await follow(request, start, signal);
    const response = await authenticate(request, first, signal);
    if (request.expect.includes(response.status)) return await readExpected(response, request);
    throw await toError(request, response);
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
    if (
      status === 403 &&
      isOwn(request.url, registry) &&
      !isOwn(url, registry) &&
      authorization === undefined
    ) {
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
      ...(isOwn(url, registry) ? { use: authorizer.useOf(response) } : { host: url.host }),
      retryAfter: retryAfterOf(response),
      now: wallClock(),
      transientCodes: request.transientCodes,
    });
    if (error.reason === 'RATE_LIMITED') limits.start(url, error.retryAfterMs ?? 0);
    return error;
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
