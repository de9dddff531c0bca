import { type Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { text } from 'node:stream/consumers';

export interface RequestOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** The server's CA in PEM. */
  readonly ca?: string;
  readonly socketPath?: string;
  readonly signal?: AbortSignal;
  /** @default a connection of its own */
  readonly agent?: Agent;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Sends one request: http, https with a private CA, or a unix socket. */
export async function sendRequest(url: string, options: RequestOptions = {}): Promise<Answer> {
  const { body, agent = false, ...rest } = options;
  const send = url.startsWith('https:') ? httpsRequest : httpRequest;
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const outgoing = send(url, { ...rest, agent }, (response) => {
    text(response).then(
      (received) =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: received }),
      reject,
    );
  });
  outgoing.on('error', reject);
  outgoing.end(body);
  return await promise;
}

/** The status of a GET, or `undefined` without a response. */
export async function probe(
  url: string,
  options: RequestOptions = {},
): Promise<number | undefined> {
  try {
    const { status } = await sendRequest(url, { ...options, signal: AbortSignal.timeout(2_000) });
    return status;
  } catch {
    // Not listening yet, or not any more; callers poll.
    return undefined;
  }
}
