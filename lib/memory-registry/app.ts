import type { HttpBindings } from '@hono/node-server';
import { Hono } from 'hono';
import { type AuthOptions, createAuth, type Tokens } from './auth/index.ts';
import { createFaults, type Faults } from './faults/index.ts';
import {
  compose,
  createConnection,
  type Exchange,
  type Middleware,
  parseTarget,
} from './http/index.ts';
import { createRequestLog, type RequestLog } from './request-log.ts';
import { createProtocol } from './routes/index.ts';
import { createStore, type Store } from './storage/index.ts';

export interface MemoryRegistryOptions {
  /** Whether the registry has the referrers API of OCI 1.1. @default true */
  readonly referrers?: boolean;
  /** @default anonymous read and write */
  readonly auth?: AuthOptions;
  /** Milliseconds since 1970, for the expiry of tokens. @default the system clock */
  readonly now?: () => number;
}

/** Set by @hono/node-server; absent when a test calls the app in the process. */
interface MemoryRegistryEnv {
  readonly Bindings: Partial<HttpBindings>;
}

export interface MemoryRegistry {
  readonly app: Hono<MemoryRegistryEnv>;
  readonly store: Store;
  readonly requests: RequestLog;
  readonly faults: Faults;
  /** Issued tokens; only with bearer authentication. */
  readonly tokens: Tokens | undefined;
}

/** Creates a distribution registry that stores everything in memory. */
export function createMemoryRegistry(options: MemoryRegistryOptions = {}): MemoryRegistry {
  const { referrers = true, now = Date.now } = options;
  const store = createStore();
  const { log, record } = createRequestLog();
  const { faults, beforeAuth, afterAuth } = createFaults();
  const auth = options.auth && createAuth(options.auth, now);
  const tokens = auth?.tokens;
  const handle = compose(
    [record, addVersionHeader, beforeAuth, ...(auth ? [auth.authorize] : []), afterAuth],
    createProtocol(store, referrers, tokens),
  );

  const app = new Hono<MemoryRegistryEnv>();
  app.all('*', ({ req, env }) => handle(toExchange(req.raw, env)));
  // Rethrown so that an in-process test sees a lost connection as `fetch` reports it, and a bug with its stack.
  app.onError((error) => {
    throw error;
  });
  return { app, store, requests: log, faults, tokens };
}

function toExchange(request: Request, env: Partial<HttpBindings> | undefined): Exchange {
  const url = new URL(request.url);
  const outgoing = env?.outgoing;
  return {
    method: request.method,
    url,
    headers: request.headers,
    target: parseTarget(url.pathname),
    body: request.body ?? ReadableStream.from([]),
    connection: outgoing && createConnection(outgoing),
  };
}

/** Docker identifies a registry by this header. */
const addVersionHeader: Middleware = async (exchange, next) => {
  const response = await next(exchange);
  if (response === exchange.connection?.alreadySent) return response;
  response.headers.set('docker-distribution-api-version', 'registry/2.0');
  return response;
};
