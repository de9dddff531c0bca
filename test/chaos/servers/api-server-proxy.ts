import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { FaultRecord } from './faults.ts';

/** Down: connections are dropped. Silent: connections are accepted and never answered. */
export type Absence = 'down' | 'silent';

/** A TCP proxy in front of the API server. */
export interface ApiServerProxy {
  /** `https://127.0.0.1:40123`. */
  readonly url: string;
  readonly faults: readonly FaultRecord[];
  /** Starts an outage, or ends it with `undefined`. */
  readonly setAway: (absence: Absence | undefined) => void;
  readonly stop: () => Promise<void>;
}

export async function startApiServerProxy(upstream: string): Promise<ApiServerProxy> {
  const { hostname, port } = new URL(upstream);
  const faults: FaultRecord[] = [];
  const sockets = new Set<Socket>();
  let away: Absence | undefined;

  const note = (kind: Absence): void => {
    faults.push({ role: 'cluster', repository: '', kind, at: Date.now() });
  };
  const hold = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
  };

  const server = createServer((near) => {
    hold(near);
    if (away !== undefined) {
      note(away);
      if (away === 'down') near.destroy();
      return;
    }
    const far = connect(Number(port), hostname);
    hold(far);
    near.on('close', () => far.destroy());
    far.on('close', () => near.destroy());
    near.pipe(far);
    far.pipe(near);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');

  return {
    url: `https://127.0.0.1:${address.port}`,
    faults,
    setAway: (absence) => {
      // Both ends of an outage are recorded, so that a later look-back finds it.
      const kind = absence ?? away;
      if (kind !== undefined) note(kind);
      away = absence;
      for (const socket of sockets) {
        if (absence === 'silent') socket.unpipe().pause();
        // Held connections are lost.
        else socket.destroy();
      }
    },
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      if (server.listening) await once(server, 'close');
    },
  };
}
