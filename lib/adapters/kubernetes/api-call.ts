import {
  type ConfigurationOptions,
  Observable,
  type RequestContext,
} from '@kubernetes/client-node';

/** One request to the API server. */
export interface Call {
  /** The SDK takes a signal only in this way. */
  readonly options: ConfigurationOptions;
  /** It had no answer: a connection that is dead, or trusts a CA that was replaced, is not used again. */
  readonly abandonConnection: () => void;
}

type Dispatcher = ReturnType<RequestContext['getDispatcher']>;

/**
 * Has the requests of one client share connections. By itself the SDK makes an agent for every request, so that each begins
 * with a TLS handshake and leaves a connection open for seconds.
 */
export function createKeptConnections(): (signal: AbortSignal) => Call {
  let kept: Dispatcher;

  return (signal) => {
    let used: Dispatcher;
    const pre = (context: RequestContext): Observable<RequestContext> => {
      context.setSignal(signal);
      kept ??= context.getDispatcher();
      used = kept;
      if (used !== undefined) context.setDispatcher(used);
      return new Observable(Promise.resolve(context));
    };
    return {
      options: {
        middlewareMergeStrategy: 'append',
        middleware: [{ pre, post: (answer) => new Observable(Promise.resolve(answer)) }],
      },
      abandonConnection: () => {
        if (kept === used) kept = undefined;
        // Others that still wait on it may end; it may have been closed by one of them already.
        void used?.close().catch(() => undefined);
      },
    };
  };
}
