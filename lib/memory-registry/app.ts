import type { HttpBindings } from '@hono/node-server';
import { Hono } from 'hono';
import { type AuthOptions, createAuth, type Tokens } from './auth/index.ts';
import { createFaults, type Faults } from './faults/index.ts';
import { compose, createWire, type Exchange, type Middleware, parseTarget } from './http/index.ts';
import type { Bytes } from './images/index.ts';
import { createRequestLog, type RequestLog } from './request-log.ts';
import { createProtocol } from './routes/index.ts';
import { createStore, type Store } from './storage/index.ts';

export interface MemoryRegistryOptions {
  /** Whether it has the referrers API of OCI 1.1. @default true */
  readonly referrers?: boolean;
  /** @default everybody may do everything */
  readonly auth?: AuthOptions;
  /** Milliseconds since 1970, for the end of tokens. @default the system's clock */
  readonly now?: () => number;
}

/** Bound by @hono/node-server; absent where the app is called in the process. */
interface MemoryRegistryEnv {
  readonly Bindings: Partial<HttpBindings>;
}

export interface MemoryRegistry {
  readonly app: Hono<MemoryRegistryEnv>;
  readonly store: Store;
  /** What was asked. */
  readonly requests: RequestLog;
  /** What goes wrong. */
  readonly faults: Faults;
  /** What was given out by a registry with bearer tokens. */
  readonly tokens?: Tokens;
}

/** A distribution registry that keeps everything in memory. */
export function createMemoryRegistry(options: MemoryRegistryOptions = {}): MemoryRegistry {
  const { referrers = true, now = Date.now } = options;
  const store = createStore();
  const { log, record } = createRequestLog();
  const { faults, beforeAuth, afterAuth } = createFaults();
  const auth = options.auth && createAuth(options.auth, now);
  const tokens = auth?.tokens;
  const handle = compose(
    [record, sign, beforeAuth, ...(auth ? [auth.guard] : []), afterAuth],
    createProtocol({ store, referrers, ...(tokens && { tokens }) }),
  );

  const app = new Hono<MemoryRegistryEnv>();
  app.all('*', ({ req, env }) => handle(toExchange(req.raw, env)));
  // A test is told of a lost connection as `fetch` would tell it, and of a bug by its stack.
  app.onError((error) => {
    throw error;
  });
  return { app, store, requests: log, faults, ...(tokens && { tokens }) };
}

function toExchange(request: Request, env: Partial<HttpBindings> | undefined): Exchange {
  const url = new URL(request.url);
  const outgoing = env?.outgoing;
  return {
    method: request.method,
    url,
    headers: request.headers,
    target: parseTarget(url.pathname),
    body: request.body ?? nothing(),
    ...(outgoing && { wire: createWire(outgoing) }),
  };
}

async function* nothing(): AsyncGenerator<Bytes> {}

/** By this header docker knows that it has found a registry. */
const sign: Middleware = async (exchange, next) => {
  const response = await next(exchange);
  if (response === exchange.wire?.answered) return response;
  response.headers.set('docker-distribution-api-version', 'registry/2.0');
  return response;
};
