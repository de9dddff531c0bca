import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { getRequestListener } from '@hono/node-server';
import type { MemoryRegistry } from './app.ts';

export interface ServeOptions {
  readonly registry: Pick<MemoryRegistry, 'app'>;
  /** @default any that is free */
  readonly port?: number;
  /** Address to listen on, and host of `url`. @default 127.0.0.1 */
  readonly hostname?: string;
  /** PEM. @default plain http */
  readonly tls?: { readonly cert: string; readonly key: string };
}

export interface ServedRegistry {
  /** For image names: `127.0.0.1:40123`. */
  readonly host: string;
  /** `http://127.0.0.1:40123`. */
  readonly url: string;
  /** Ends it for good, open connections too. */
  readonly close: () => Promise<void>;
  /** Nobody listens any more, and nobody hears the end of what was being said. */
  readonly goAway: () => Promise<void>;
  /** Listens again on the same port, with all that it held. */
  readonly comeBack: () => Promise<void>;
}

/** Serves a memory registry on loopback. */
export async function serveMemoryRegistry(options: ServeOptions): Promise<ServedRegistry> {
  const { registry, port = 0, hostname = '127.0.0.1', tls } = options;
  const listener = getRequestListener(registry.app.fetch, { overrideGlobalObjects: false });
  const server: Server = tls === undefined ? createServer() : createTlsServer(tls);
  server.on('request', (incoming, outgoing) => void listener(incoming, outgoing));
  // A request may be held, or trickle, for as long as a test likes.
  server.requestTimeout = 0;
  // Node's 5 s would close a pooled connection just when its client reaches for it.
  server.keepAliveTimeout = 0;
  await listen(server, port, hostname);
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the registry has no port');

  const host = `${hostname}:${address.port}`;
  const stop = async (): Promise<void> => {
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  };
  return {
    host,
    url: `${tls === undefined ? 'http' : 'https'}://${host}`,
    close: stop,
    goAway: stop,
    comeBack: async () => {
      if (!server.listening) await listen(server, address.port, hostname);
    },
  };
}

async function listen(server: Server, port: number, hostname: string): Promise<void> {
  const listening = once(server, 'listening');
  server.listen(port, hostname);
  // Rejects with the server's error, where there is one.
  await listening;
}
