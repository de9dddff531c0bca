import { type Authorizer, type MakeHeader, scopesOf } from '../auth/index.ts';
import { RegistryError } from '../errors/index.ts';
import { drop, isRead } from '../http/index.ts';
import type { Follow, HopResponse } from './redirects.ts';
import { isOwn, type RegistryRequest } from './request.ts';

export interface AuthenticateOptions {
  readonly registry: URL;
  readonly authorizer: Authorizer;
  /** Authenticates anonymously at another registry, to which a read was redirected. */
  readonly authorizerOfTarget: (target: URL) => Authorizer;
}

/** Repeats a request once if it failed for its credentials. Resolves with the response that counts. */
export type Authenticate = (
  request: RegistryRequest,
  response: HopResponse,
  signal: AbortSignal,
) => Promise<HopResponse>;

export function createAuthenticate(
  { registry, authorizer, authorizerOfTarget }: AuthenticateOptions,
  follow: Follow,
): Authenticate {
  return async function authenticate(request, response, signal) {
    const { status, url } = response;
    if (status === 401) return await answerChallenge(request, response, signal);
    if (!isOwn(url, registry) || typeof request.body === 'function') return response;
    const makeHeader = await findHeader(request, response, signal);
    return makeHeader === undefined
      ? response
      : await repeat(request, response, makeHeader, signal);
  };

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

  /** A challenge belongs to the origin that sent it. */
  async function answerChallenge(
    request: RegistryRequest,
    response: HopResponse,
    signal: AbortSignal,
  ): Promise<HopResponse> {
    if (!isOwn(response.url, registry)) return await answerTarget(request, response, signal);
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
    if (!isOwn(request.url, registry) || !isRead(request)) return response;
    const asked = scopesOf([response.headers['www-authenticate'] ?? []].flat());
    const scopes = asked.length > 0 ? asked : request.scopes;
    const makeHeader = authorizerOfTarget(url).onChallenge(response, scopes, undefined);
    if (makeHeader === undefined) return response;
    await drop(response);
    return await follow(request, { url, sentBy, authorization: await makeHeader(signal) }, signal);
  }
}
