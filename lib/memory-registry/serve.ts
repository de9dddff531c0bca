import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { getRequestListener } from '@hono/node-server';
import type { MemoryRegistry } from './app.ts';

const loopback = '127.0.0.1';

export interface ServeOptions {
  readonly registry: Pick<MemoryRegistry, 'app'>;
  /** @default a free port */
  readonly port?: number;
  /** PEM. @default plain HTTP */
  readonly tls?: { readonly cert: string; readonly key: string };
}

export interface ServedRegistry {
  /** For image names: `127.0.0.1:40123`. */
  readonly host: string;
  /** `http://127.0.0.1:40123`. */
  readonly url: string;
  /** Stops listening and closes open connections, even in the middle of a response. The contents stay. */
  readonly close: () => Promise<void>;
  /** Listens again on the same port with the same contents. */
  readonly reopen: () => Promise<void>;
}

/** Serves a memory registry on loopback. */
export async function serveMemoryRegistry(options: ServeOptions): Promise<ServedRegistry> {
  const { registry, port = 0, tls } = options;
  const listener = getRequestListener(registry.app.fetch, { overrideGlobalObjects: false });
  const server: Server = tls === undefined ? createServer() : createTlsServer(tls);
  server.on('request', (incoming, outgoing) => void listener(incoming, outgoing));
  // A fault may hold or slow down a request for any time.
  server.requestTimeout = 0;
  // Node's default of 5 s can close a pooled connection at the moment its client reuses it.
  server.keepAliveTimeout = 0;
  await listen(server, port);
  const address = server.address();
  if (address === null || typeof address === 'string') {
    throw new Error('memory registry cannot be served: the listening socket has no port');
  }

  const host = `${loopback}:${address.port}`;
  return {
    host,
    url: `${tls === undefined ? 'http' : 'https'}://${host}`,
    close: async () => {
      if (!server.listening) return;
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
    reopen: async () => {
      if (!server.listening) await listen(server, address.port);
    },
  };
}

async function listen(server: Server, port: number): Promise<void> {
  // `once` rejects if the server emits an error first.
  const listening = once(server, 'listening');
  server.listen(port, loopback);
  await listening;
}
