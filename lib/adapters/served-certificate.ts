import { connect } from 'node:tls';
import type { ServedCertificate } from '../ports/index.ts';

export interface TlsServer {
  /** A name or an address. */
  readonly host: string;
  readonly port: number;
  /** The host name of the handshake (SNI). */
  readonly serverName: string;
}

const timeoutMs = 5_000;

/** Makes one TLS handshake and closes the connection. Never rejects: a server that does not answer is a result too. */
export async function readServedCertificate(
  { host, port, serverName }: TlsServer,
  signal: AbortSignal,
): Promise<ServedCertificate> {
  const server = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const { promise, resolve } = Promise.withResolvers<ServedCertificate>();
  // Any certificate is of interest, also one that no client accepts.
  const socket = connect({ host, port, servername: serverName, rejectUnauthorized: false }, () => {
    const certificate = socket.getPeerX509Certificate()?.raw.toString('base64');
    resolve(
      certificate === undefined ? { server, problem: 'no certificate' } : { server, certificate },
    );
  });
  socket.on('error', (error) =>
    resolve({ server, problem: 'code' in error ? String(error.code) : error.message }),
  );
  socket.on('close', () => resolve({ server, problem: 'connection closed' }));
  const onAbort = (): void => resolve({ server, problem: 'timeout' });
  const within = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  within.addEventListener('abort', onAbort, { once: true });
  try {
    return await promise;
  } finally {
    within.removeEventListener('abort', onAbort);
    socket.destroy();
  }
}
