import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import { TLSSocket } from 'node:tls';
import { getRequestListener } from '@hono/node-server';
import type { Certificates } from '../shared/adapters/certificates.ts';
import type { Connection } from './probes.ts';

export interface ServerOptions {
  readonly fetch: (request: Request, connection: Connection) => Response | Promise<Response>;
  readonly port: number;
  /** The address to listen on. @default every address */
  readonly host?: string;
  /** Serves HTTPS; plain HTTP without. */
  readonly certificates?: Certificates | undefined;
  /** In milliseconds. @default `defaultLimits` */
  readonly limits?: Partial<typeof defaultLimits>;
}

export interface WebhookServer {
  readonly port: number;
  /** For new connections; established ones keep their certificate. */
  renew(certificates: Certificates): void;
  /** Accepts no new connection; resolves when the last request is answered or `drainTimeout` is over. */
  close(): Promise<void>;
}

const defaultLimits = {
  // Longer than the 90 s of Go's client: if the server closed idle connections first, a review could meet a closed socket.
  keepAliveTimeout: 120_000,
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  // How often Node checks the two limits above.
  connectionsCheckingInterval: 5_000,
  // Node's default is two minutes, for which a silent client holds a connection.
  handshakeTimeout: 10_000,
  // A closing server checks no limits, so a request that stays incomplete would never end. A review takes 30 s at most, after 30 s to
  // arrive.
  drainTimeout: 60_000,
};

const listenProblems = [
  ['EADDRINUSE', 'is in use by another process: choose another one'],
  ['EACCES', 'needs more rights: choose one above 1023'],
] as const;

/** Opens one port. Rejects with a sentence if the port is not available. */
export async function openServer({
  fetch,
  port,
  host,
  certificates,
  limits: given = {},
}: ServerOptions): Promise<WebhookServer> {
  const { drainTimeout, ...limits } = { ...defaultLimits, ...given };
  // Replaces the global Request and Response by lighter ones: those of Node cost more than the rest of a review.
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
          // Probes of the kubelet have no certificate, so the routes demand one, not the handshake.
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
  await listen(server, port, host);

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

/** Node 20 reports a resumed TLS 1.3 session as authorized even if the client never sent a certificate. */
function hasTrustedCertificate(socket: IncomingMessage['socket']): boolean {
  return (
    socket instanceof TLSSocket &&
    socket.authorized &&
    socket.getPeerX509Certificate() !== undefined
  );
}

async function listen(server: Server | TlsServer, port: number, host?: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  const onError = (error: Error): void => reject(toListenError(error, port));
  server.once('error', onError);
  server.listen({ port, host }, () => resolve(undefined));
  await promise;
  server.off('error', onError);
}

function toListenError(error: Error, port: number): Error {
  const code = 'code' in error ? error.code : undefined;
  const problem = listenProblems.find(([known]) => known === code)?.[1];
  if (problem === undefined) return error;
  const message = `port ${port} ${problem} with PORT, --port or TLS_PORT`;
  return new Error(message, { cause: error });
}

function portOf(server: Server | TlsServer): number {
  const address = server.address();
  return address === null || typeof address === 'string' ? 0 : address.port;
}
