import {
  ApiException,
  type ConfigurationOptions,
  Observable,
  type RequestContext,
} from '@kubernetes/client-node';
import { untilAborted } from '../../util/abort.ts';

type ApiResult<Body> =
  | { readonly isOk: true; readonly body: Body }
  | {
      readonly isOk: false;
      /** HTTP status; `undefined` without a response. */
      readonly code: number | undefined;
      /** `HTTP 500`, `timeout`, `ECONNREFUSED`: never quotes the response, which may be a Secret. */
      readonly problem: string;
    };

/** Makes one request and never rejects; `request` must pass the options on, because the SDK takes a signal only there. */
export type CallApi = <Body>(
  signal: AbortSignal,
  request: (options: ConfigurationOptions) => Promise<Body>,
) => Promise<ApiResult<Body>>;

type Dispatcher = ReturnType<RequestContext['getDispatcher']>;

/** Shares connections among the requests of one client; the SDK alone opens a TLS connection per request. */
export function createApiCall(): CallApi {
  let shared: Dispatcher;

  return async (signal, request) => {
    let used: Dispatcher;
    const pre = (context: RequestContext): Observable<RequestContext> => {
      context.setSignal(signal);
      shared ??= context.getDispatcher();
      used = shared;
      if (used !== undefined) context.setDispatcher(used);
      return new Observable(Promise.resolve(context));
    };
    const options: ConfigurationOptions = {
      middlewareMergeStrategy: 'append',
      middleware: [{ pre, post: (response) => new Observable(Promise.resolve(response)) }],
    };
    try {
      return { isOk: true, body: await untilAborted(request(options), signal) };
    } catch (error) {
      const code = error instanceof ApiException ? error.code : undefined;
      if (code === undefined) {
        // The connection may be dead or trust a replaced CA; requests that still use it may finish.
        if (shared === used) shared = undefined;
        void used?.close().catch(() => undefined);
      }
      return { isOk: false, code, problem: toProblem(error, signal) };
    }
  };
}

/** The first `code` in a chain of causes. */
export function systemErrorCode(error: unknown): string | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && typeof cause.code === 'string') return cause.code;
  }
  return undefined;
}

function toProblem(error: unknown, signal: AbortSignal): string {
  if (signal.aborted) return 'timeout';
  if (error instanceof ApiException) return `HTTP ${error.code}`;
  const invalid = error instanceof SyntaxError ? 'response is not JSON' : 'invalid response';
  return systemErrorCode(error) ?? invalid;
}
