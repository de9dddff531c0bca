import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import { TLSSocket } from 'node:tls';
import { getRequestListener } from '@hono/node-server';
import type { Certificates } from '../shared/certificates.ts';
import type { Connection } from './probes.ts';

export interface ServerOptions {
  readonly fetch: (request: Request, connection: Connection) => Response | Promise<Response>;
  readonly port: number;
  /** HTTPS where given. */
  readonly certificates?: Certificates | undefined;
  /** In milliseconds. @default what suits an API server and no idler */
  readonly limits?: Partial<typeof defaultLimits>;
}

export interface WebhookServer {
  readonly port: number;
  /** Established connections keep what they began with; new ones get this. */
  renew(certificates: Certificates): void;
  /** Takes no new connection; resolves when the last request is answered, or given up by us. */
  close(): Promise<void>;
}

const defaultLimits = {
  // Go's client keeps an idle connection for 90 s: it must be the one to close it, or a review meets a closed socket.
  keepAliveTimeout: 120_000,
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  // How often Node looks whether somebody is over them.
  connectionsCheckingInterval: 5_000,
  // Its own is two minutes, and whoever says nothing keeps a connection for that long.
  handshakeTimeout: 10_000,
  // Node stops looking when it closes, and a client whose network has died in the middle of a request would never be done. What is
  // asked in time is answered in time: a review has 30 s at most, after the 30 s that it may take to arrive.
  drainTimeout: 60_000,
};

/** Opens one port. Rejects with the system's error when it cannot be had. */
export async function openServer({
  fetch,
  port,
  certificates,
  limits: given = {},
}: ServerOptions): Promise<WebhookServer> {
  const { drainTimeout, ...limits } = { ...defaultLimits, ...given };
  // It puts light ones of its own in the place of the global Request and Response: Node's cost more than all the rest of a review.
  const listener = getRequestListener((request, { incoming }) => {
    const { socket } = incoming;
    return fetch(request, { hasTrustedCertificate: () => hasTrustedCertificate(socket) });
  });
  const secured =
    certificates === undefined
      ? undefined
      : createTlsServer({
          ...limits,
          ...certificates,
          // The kubelet's probes have no certificate, so it is for the routes to demand one.
          requestCert: certificates.ca !== undefined,
          rejectUnauthorized: false,
        });
  const server = secured ?? createServer(limits);
  let isClosing = false;
  server.on('request', (incoming, outgoing) => {
    outgoing.on('close', () => {
      if (isClosing) server.closeIdleConnections();
    });
    void listener(incoming, outgoing);
  });
  await listen(server, port);

  return {
    port: portOf(server),
    renew: (renewed) => secured?.setSecureContext(renewed),
    async close() {
      isClosing = true;
      const { promise, resolve } = Promise.withResolvers<undefined>();
      server.close(() => resolve(undefined));
      const timer = setTimeout(() => server.closeAllConnections(), drainTimeout);
      await promise;
      clearTimeout(timer);
    },
  };
}

/** Older Nodes (20 does) take a resumed session of TLS 1.3 for authorized, also where nobody ever showed a certificate. */
function hasTrustedCertificate(socket: IncomingMessage['socket']): boolean {
  return (
    socket instanceof TLSSocket &&
    socket.authorized &&
    socket.getPeerX509Certificate() !== undefined
  );
}

async function listen(server: Server | TlsServer, port: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  server.once('error', reject);
  server.listen(port, () => resolve(undefined));
  await promise;
  server.off('error', reject);
}

function portOf(server: Server | TlsServer): number {
  const address = server.address();
  return address === null || typeof address === 'string' ? 0 : address.port;
}
