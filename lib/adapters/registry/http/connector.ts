import type { LookupFunction } from 'node:net';
import { type SecureContext, TLSSocket } from 'node:tls';
import { buildConnector } from 'undici';
import { createBoundedMap } from '../../../util/bounded-map.ts';

export interface ConnectorOptions {
  readonly timeout: number;
  readonly lookup: LookupFunction;
  /** The trusted certificates. @default the system's */
  readonly secureContext?: SecureContext | undefined;
}

/** A session is at most a few KiB. */
const maxSessions = 200;

/**
 * Opens connections, and resumes TLS sessions of the same host and port. undici's own cache ends with the last connection to a
 * host, and holds sessions by weak references, which the next garbage collection clears.
 */
export function createConnector(options: ConnectorOptions): buildConnector.connector {
  const sessions = createBoundedMap<string, Buffer>(maxSessions);

  return (target, callback) => {
    const key = `${target.servername ?? ''} ${target.hostname}:${target.port}`;
    const session = sessions.get(key);
    const connect = buildConnector({
      ...options,
      allowH2: false,
      maxCachedSessions: 0,
      ...(session !== undefined && { session }),
    });
    connect(target, (error, socket) => {
      if (error !== null) {
        // The server may have refused it, or its certificate may have changed.
        sessions.delete(key);
        callback(error, null);
        return;
      }
      if (socket instanceof TLSSocket) {
        // With TLS 1.3 the session follows the handshake.
        socket.on('session', (next) => sessions.set(key, next));
        const current = socket.getProtocol() === 'TLSv1.3' ? undefined : socket.getSession();
        if (current !== undefined) sessions.set(key, current);
      }
      callback(null, socket);
    });
  };
}
