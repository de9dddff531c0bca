import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { readAsked } from './asked.ts';
import type { FaultDraw, FaultRecord, Role, StateKind } from './faults.ts';
import { applyFault, forward } from './tap-faults.ts';

/** One request that came to a tap, with what it carried. */
export interface TapRequest {
  readonly at: number;
  readonly method: string;
  readonly path: string;
  readonly repository: string;
  readonly authorization: string;
  /** When its connection was done with it. */
  endedAt: number;
  /** 0 while there is no answer, and where none was sent. */
  status: number;
}

/** A proxy before a registry, which stands between it and everybody but the auditor. */
export interface Tap {
  readonly role: Role;
  /** For image names. */
  readonly host: string;
  readonly faults: readonly FaultRecord[];
  readonly requests: readonly TapRequest[];
  /** From now on nothing goes wrong but what is gone for good. */
  readonly calm: () => void;
  /** The whole registry drops every connection, or answers again. */
  readonly setDown: (isDown: boolean) => void;
  /** The repository answers 404 from now on. */
  readonly forget: (repository: string) => void;
  /** Who comes with this `Authorization` is answered 401 from now on. */
  readonly refuse: (authorization: string) => void;
  /** Something in the registry itself that may be the reason for a refusal. */
  readonly note: (kind: StateKind, repository: string) => void;
  /** Connections that somebody still holds open. */
  readonly openConnections: () => number;
  readonly stop: () => Promise<void>;
}

export interface TapOptions {
  readonly role: Role;
  /** `127.0.0.1:40123` of the registry itself. */
  readonly upstream: string;
  /** A server that is none of ours, to which some answers lead. */
  readonly stranger: string;
  readonly draw: FaultDraw;
}

export async function startTap({ role, upstream, stranger, draw }: TapOptions): Promise<Tap> {
  const faults: FaultRecord[] = [];
  const requests: TapRequest[] = [];
  const gone = new Set<string>();
  const refused = new Set<string>();
  const sockets = new Set<Socket>();
  const calmed = new AbortController();
  let isDown = false;

  const note = (kind: FaultRecord['kind'], repository: string): void => {
    faults.push({ role, repository, kind, at: Date.now() });
  };

  function pass(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const { method = '', url: path = '' } = incoming;
    const asked = readAsked(method, path);
    const { repository } = asked;
    const entry: TapRequest = {
      at: Date.now(),
      method,
      path,
      repository,
      authorization: incoming.headers.authorization ?? '',
      endedAt: Number.POSITIVE_INFINITY,
      status: 0,
    };
    requests.push(entry);
    outgoing.on('close', () => {
      entry.endedAt = Date.now();
      entry.status = outgoing.headersSent ? outgoing.statusCode : 0;
    });
    const drawn = draw.draw(role, asked);
    if (isDown) {
      note('down', repository);
      incoming.socket.destroy();
      return;
    }
    if (gone.has(repository)) {
      note('gone', repository);
      incoming.resume();
      outgoing.writeHead(404, { 'content-type': 'application/json' });
      outgoing.end('{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known"}]}');
      return;
    }
    if (refused.has(entry.authorization)) {
      note('rotated', repository);
      applyFault('status-401', { upstream, stranger, incoming, outgoing, calmed: calmed.signal });
      return;
    }
    if (drawn === undefined || calmed.signal.aborted) {
      forward(upstream, incoming, outgoing);
      return;
    }
    note(drawn, repository);
    applyFault(drawn, { upstream, stranger, incoming, outgoing, calmed: calmed.signal });
  }

  const server = createServer(pass);
  server.requestTimeout = 0;
  server.keepAliveTimeout = 0;
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the tap has no port');

  return {
    role,
    host: `127.0.0.1:${address.port}`,
    faults,
    requests,
    calm: () => calmed.abort(),
    setDown: (down) => {
      isDown = down;
      if (!down) return;
      note('down', '');
      for (const socket of sockets) socket.destroy();
    },
    refuse: (authorization) => refused.add(authorization),
    forget: (repository) => gone.add(repository),
    note,
    openConnections: () => sockets.size,
    stop: async () => {
      server.close();
      server.closeAllConnections();
      if (server.listening) await once(server, 'close');
    },
  };
}
