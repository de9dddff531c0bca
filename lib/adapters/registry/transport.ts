import type { Authorizer, Scope } from './auth.ts';
import { RegistryError, toRegistryError } from './failure.ts';
import { drop, type Http, type HttpAnswer, type HttpRequest, headerOf, readBody } from './http.ts';

/** A request to one registry, and what it needs to be allowed to do. */
export interface RegistryRequest extends Omit<HttpRequest, 'sentBy' | 'body' | 'signal'> {
  readonly scopes: readonly Scope[];
  /** Statuses that are an answer; every other one is thrown. */
  readonly expect: readonly number[];
  readonly body?: Uint8Array | string | (() => AsyncIterable<Uint8Array>);
}

/** Sends requests with redirects, credentials and repetition. Throws `RegistryError`. */
export type Send = (request: RegistryRequest, signal: AbortSignal) => Promise<Answered>;

export interface Answered extends HttpAnswer {
  /** Where the answer came from, after redirects. */
  readonly url: URL;
}

export interface TransportOptions {
  readonly http: Http;
  readonly registry: URL;
  readonly authorizer: Authorizer;
  /** How often a request is sent at most. */
  readonly maxAttempts: number;
  /** A registry that asks for a longer pause is not asked again. */
  readonly maxRetryAfterMs: number;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** 0 to 1. */
  readonly random: () => number;
  readonly onAnswer?: (answer: {
    readonly url: URL;
    readonly method: string;
    readonly status: number;
    readonly headers: HttpAnswer['headers'];
  }) => void;
}

const maxRedirects = 5;
const maxErrorBytes = 64 * 1024;
const firstPauseMs = 250;
const maxPauseMs = 10_000;

export function createTransport(options: TransportOptions): Send {
  const { http, registry, authorizer, maxAttempts, maxRetryAfterMs, sleep, random } = options;

  return async function send(asked, signal) {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await sendOnce(asked, signal);
      } catch (error) {
        // A stream that has begun cannot be sent again; its owner starts over.
        const isLast = attempt >= maxAttempts || typeof asked.body === 'function';
        if (!(error instanceof RegistryError) || !error.isTransient || isLast) throw error;
        if ((error.retryAfterMs ?? 0) > maxRetryAfterMs) throw error;
        await sleep(pauseMs(attempt, error.retryAfterMs), signal);
      }
    }
  };

  /** Full jitter: those who failed together do not come back together. */
  function pauseMs(attempt: number, retryAfterMs: number | undefined): number {
    if (retryAfterMs !== undefined) return retryAfterMs;
    return random() * Math.min(maxPauseMs, firstPauseMs * 2 ** attempt);
  }

  async function sendOnce(asked: RegistryRequest, signal: AbortSignal): Promise<Answered> {
    const used = await authorizationFor(asked, signal);
    const first = await follow(asked, used, signal);
    const answer =
      first.status === 401 && typeof asked.body !== 'function'
        ? await answerChallenge(asked, first, used, signal)
        : first;
    if (asked.expect.includes(answer.status)) return answer;
    const text = new TextDecoder().decode(await readError(answer, asked));
    throw toRegistryError(asked.step, answer.status, text, headerOf(answer, 'retry-after'));
  }

  async function answerChallenge(
    asked: RegistryRequest,
    challenge: Answered,
    used: string | undefined,
    signal: AbortSignal,
  ): Promise<Answered> {
    // A challenge from the place that we were redirected to is not the registry's.
    const isRegistrys = challenge.url.origin === registry.origin;
    if (!isRegistrys || !(await authorizer.learn(challenge, asked.scopes, used))) return challenge;
    await drop(challenge);
    return await follow(asked, await authorizationFor(asked, signal), signal);
  }

  /** An upload may be sent elsewhere by its `Location`: credentials follow the origin, not the registry's wishes. */
  async function authorizationFor(
    asked: RegistryRequest,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    if (asked.url.origin !== registry.origin) return undefined;
    return await authorizer.authorization(asked.scopes, signal);
  }

  async function follow(
    asked: RegistryRequest,
    authorization: string | undefined,
    signal: AbortSignal,
  ): Promise<Answered> {
    let { url } = asked;
    let sentBy = url.origin === registry.origin ? undefined : registry;
    for (let hop = 0; ; hop += 1) {
      const isOwn = url.origin === registry.origin;
      const body = typeof asked.body === 'function' ? asked.body() : asked.body;
      const answer = await http.send({
        method: asked.method,
        url,
        headers: {
          ...asked.headers,
          ...(isOwn && authorization !== undefined && { authorization }),
        },
        ...(body !== undefined && { body }),
        signal,
        step: asked.step,
        ...(sentBy !== undefined && { sentBy }),
      });
      options.onAnswer?.({
        url,
        method: asked.method,
        status: answer.status,
        headers: answer.headers,
      });
      const next = redirectOf(answer, url, asked);
      if (next === undefined) return { ...answer, url };
      await drop(answer);
      if (hop >= maxRedirects) {
        throw new RegistryError(
          'REFUSED',
          `${asked.step}: it redirects more than ${maxRedirects} times`,
        );
      }
      sentBy = url;
      url = next;
    }
  }
}

/** Only reads are followed, and never from https to http. */
function redirectOf(
  answer: HttpAnswer,
  from: URL,
  { method, step }: RegistryRequest,
): URL | undefined {
  const location = headerOf(answer, 'location');
  const isRedirect = [301, 302, 303, 307, 308].includes(answer.status) && location !== undefined;
  if (!isRedirect || (method !== 'GET' && method !== 'HEAD')) return undefined;
  if (!URL.canParse(location, from)) {
    throw new RegistryError('REFUSED', `${step}: it redirects to an address that cannot be read`);
  }
  const next = new URL(location, from);
  if (from.protocol === 'https:' && next.protocol !== 'https:') {
    throw new RegistryError('REFUSED', `${step}: it redirects from https to plain http`);
  }
  return next;
}

async function readError(answer: Answered, { method, step }: RegistryRequest): Promise<Uint8Array> {
  if (method === 'HEAD') {
    await drop(answer);
    return new Uint8Array();
  }
  try {
    return await readBody(answer, maxErrorBytes, step);
  } catch {
    // Whatever the body was, the status says enough.
    return new Uint8Array();
  }
}
