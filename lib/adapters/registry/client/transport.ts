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

/** A request to one registry, and what it needs to be allowed to do. */
export interface RegistryRequest extends Omit<HttpRequest, 'sentBy' | 'body' | 'signal'> {
  readonly scopes: readonly Scope[];
  /** Statuses that are an answer; every other one is thrown. */
  readonly expect: readonly number[];
  /** The answer is read to its end, up to so many bytes: one that is cut short is asked for again. @default the body is the caller's */
  readonly maxBytes?: number;
  /** Of what is read nothing is kept but its digest, in the algorithm of the one that is returned. @default all of it is */
  readonly digestLike?: (answer: Pick<HttpResponse, 'headers'>) => string | undefined;
  /** Codes of errors that may pass, besides those that always may. */
  readonly passingCodes?: readonly string[];
  /** As a function it can be sent once only: neither a challenge nor a failure makes it be sent again. */
  readonly body?: Uint8Array | (() => Uint8Array | AsyncIterable<Uint8Array>);
}

/** Sends requests with redirects, credentials and repetition. Throws `RegistryError`. */
export type Send = (request: RegistryRequest, signal: AbortSignal) => Promise<RegistryResponse>;

export interface RegistryResponse extends HttpResponse {
  /** Where the answer came from, after redirects. */
  readonly url: URL;
  /** All of it, where `maxBytes` said so. */
  readonly bytes?: Uint8Array;
  /** Of all of it, where `digestLike` was there. */
  readonly digest?: string;
}

export interface TransportOptions extends BackoffOptions {
  readonly http: Http;
  readonly registry: URL;
  readonly authorizer: Authorizer;
  /** Pauses after a 429, by `clientKey`. */
  readonly cooldown: Cooldown;
  /** Names the registry and the credentials: a registry limits each of its clients. */
  readonly clientKey: string;
  /** How often a request is sent at most. */
  readonly maxAttempts: number;
  /** A registry that asks for a longer pause is not asked again. */
  readonly maxRetryAfterMs: number;
  /** Milliseconds since 1970, for a `Retry-After` that is a date. */
  readonly wallClock: () => number;
  readonly onAnswer?: (answer: {
    readonly url: URL;
    readonly method: string;
    readonly status: number;
    readonly headers: HttpResponse['headers'];
  }) => void;
}

const maxRedirects = 5;
const maxErrorBytes = 64 * 1024;

export function createTransport(options: TransportOptions): Send {
  const { http, registry, authorizer, cooldown, clientKey } = options;
  const { maxAttempts, maxRetryAfterMs, sleep, wallClock } = options;
  const backoff = createBackoff(options);

  const isOwn = ({ origin }: URL): boolean => origin === registry.origin;

  return async function send(asked, signal) {
    for (let attempt = 1; ; attempt += 1) {
      await waitForCooldown(asked, signal);
      try {
        return await sendOnce(asked, signal);
      } catch (error) {
        if (!(error instanceof RegistryError) || !error.isTransient) throw error;
        const { reason, retryAfterMs } = error;
        if (reason === 'RATE_LIMITED') cooldown.start(clientKey, retryAfterMs ?? 0);
        // A stream that has begun cannot be sent again; its owner starts over.
        if (attempt >= maxAttempts || typeof asked.body === 'function') throw error;
        if ((retryAfterMs ?? 0) > maxRetryAfterMs) throw error;
        if ((retryAfterMs ?? 0) === 0) await backoff(attempt, signal);
        else if (reason !== 'RATE_LIMITED') await sleep(retryAfterMs ?? 0, signal);
      }
    }
  };

  /** A limit is on all requests, not on the one that was told of it. */
  async function waitForCooldown({ step }: RegistryRequest, signal: AbortSignal): Promise<void> {
    const ms = cooldown.remainingMs(clientKey);
    if (ms > maxRetryAfterMs) {
      const message = `${step}: it wants to be left alone for ${Math.ceil(ms / 1000)} s`;
      throw new RegistryError('RATE_LIMITED', message, { retryAfterMs: ms });
    }
    if (ms > 0) await sleep(ms, signal);
  }

  async function sendOnce(asked: RegistryRequest, signal: AbortSignal): Promise<RegistryResponse> {
    const used = await authorizationFor(asked, signal);
    const first = await follow(asked, used, signal);
    const answer = first.status === 401 ? await answerChallenge(asked, first, used, signal) : first;
    if (asked.expect.includes(answer.status)) return await whole(answer, asked);
    const text = await readError(answer, asked);
    const withheld =
      answer.status === 401 && isOwn(answer.url) ? authorizer.withheld(answer) : undefined;
    if (withheld !== undefined) throw withheld;
    if (answer.status === 403 && isOwn(asked.url) && !isOwn(answer.url)) throw turnedAway(asked);
    throw toRegistryError(asked.step, {
      status: answer.status,
      text,
      retryAfter: retryAfterOf(answer),
      now: wallClock(),
      passingCodes: asked.passingCodes,
    });
  }

  async function answerChallenge(
    asked: RegistryRequest,
    challenge: RegistryResponse,
    used: string | undefined,
    signal: AbortSignal,
  ): Promise<RegistryResponse> {
    // A challenge from the place that we were sent to is not the registry's.
    if (!isOwn(asked.url) || !isOwn(challenge.url)) return challenge;
    const answered = authorizer.learn(challenge, asked.scopes, used);
    if (answered === undefined) return challenge;
    await drop(challenge);
    if (typeof asked.body === 'function') throw challenged(asked);
    return await follow(asked, await answered(signal), signal);
  }

  /** An upload may be sent elsewhere by its `Location`: credentials follow the origin, not the registry's wishes. */
  async function authorizationFor(
    asked: RegistryRequest,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    if (!isOwn(asked.url)) return undefined;
    return await authorizer.authorization(asked.scopes, signal);
  }

  async function follow(
    asked: RegistryRequest,
    authorization: string | undefined,
    signal: AbortSignal,
  ): Promise<RegistryResponse> {
    let { url } = asked;
    let sentBy = isOwn(url) ? undefined : registry;
    // Lost with the first step to another origin, and not found again on a step back: others chose that address.
    let mayKnow = sentBy === undefined;
    for (let hop = 0; ; hop += 1) {
      const body = typeof asked.body === 'function' ? asked.body() : asked.body;
      const answer = await http.send({
        method: asked.method,
        url,
        headers: {
          ...asked.headers,
          ...(mayKnow && authorization !== undefined && { authorization }),
        },
        ...(body !== undefined && { body }),
        signal,
        step: asked.step,
        ...(sentBy !== undefined && { sentBy }),
      });
      const { status, headers } = answer;
      options.onAnswer?.({ url, method: asked.method, status, headers });
      const next = redirectOf(answer, url, asked);
      if (next === undefined) return { ...answer, url };
      await drop(answer);
      if (hop >= maxRedirects) {
        const message = `${asked.step}: it redirects more than ${maxRedirects} times`;
        throw new RegistryError('REFUSED', message);
      }
      sentBy = url;
      mayKnow = mayKnow && isOwn(next);
      url = next;
    }
  }
}

/** What is no success has nothing that anybody waits for. */
async function whole(
  answer: RegistryResponse,
  { maxBytes, digestLike, step }: RegistryRequest,
): Promise<RegistryResponse> {
  if (maxBytes === undefined || answer.status >= 300) return answer;
  return digestLike === undefined
    ? { ...answer, bytes: await readBody(answer, maxBytes, step) }
    : { ...answer, digest: await digestBody(answer, maxBytes, step, digestLike(answer)) };
}

/** A token that ended in the middle, or what somebody else was told meanwhile: the stream's owner starts over, with the answer. */
function challenged({ step }: RegistryRequest): RegistryError {
  return new RegistryError('DENIED', `${step}: it asked for credentials in the middle`, {
    status: 401,
    isTransient: true,
  });
}

/** An object store's word is not the registry's: its addresses are signed, and end. The registry gives a new one. */
function turnedAway({ step }: RegistryRequest): RegistryError {
  return new RegistryError(
    'UNAVAILABLE',
    `${step}: the place that it sent us to refused us (403)`,
    {
      status: 403,
      isTransient: true,
    },
  );
}

/** The standard's header, Docker Hub's, and what others say of their limits where they have reached them. */
function retryAfterOf(answer: RegistryResponse): string | undefined {
  const said = headerOf(answer, 'retry-after') ?? headerOf(answer, 'x-retry-after');
  if (said !== undefined || answer.status !== 429) return said;
  return headerOf(answer, 'ratelimit-reset') ?? headerOf(answer, 'x-ratelimit-reset');
}

async function readError(
  answer: RegistryResponse,
  { method, step }: RegistryRequest,
): Promise<string> {
  if (method === 'HEAD') {
    await drop(answer);
    return '';
  }
  try {
    return new TextDecoder().decode(await readBody(answer, maxErrorBytes, step));
  } catch {
    // Whatever the body was, the status says enough.
    return '';
  }
}
