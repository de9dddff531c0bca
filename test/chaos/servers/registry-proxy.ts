import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FaultDraw, FaultRecord, Role, StateKind } from './faults.ts';
import { parseRequest } from './parse-request.ts';
import { applyFault, forward } from './proxy-faults.ts';

/** A request that a proxy received. */
export interface ProxiedRequest {
  readonly at: number;
  readonly method: string;
  readonly path: string;
  readonly repository: string;
  readonly authorization: string;
  /** When its response closed. */
  endedAt: number;
  /** 0 if no response was sent. */
  status: number;
}

/** A proxy in front of a registry for every client but the auditor. */
export interface RegistryProxy {
  readonly role: Role;
  /** Host for image names. */
  readonly host: string;
  readonly faults: readonly FaultRecord[];
  readonly requests: readonly ProxiedRequest[];
  /** Ends all faults except removed repositories. */
  readonly endFaults: () => void;
  /** Starts or ends an outage that drops every connection. */
  readonly setDown: (isDown: boolean) => void;
  /** Removes the repository: it answers 404 from now on. */
  readonly forget: (repository: string) => void;
  /** Answers 401 to this `Authorization` from now on. */
  readonly refuse: (authorization: string) => void;
  /** Records a condition of the registry that justifies refusals. */
  readonly note: (kind: StateKind, repository: string) => void;
  /** Number of open client connections. */
  readonly openConnections: () => number;
  readonly stop: () => Promise<void>;
}

export interface RegistryProxyOptions {
  readonly role: Role;
  /** `127.0.0.1:40123` of the registry itself. */
  readonly upstream: string;
  /** The foreign server that some faults redirect to. */
  readonly foreignServer: string;
  readonly draw: FaultDraw;
}

export async function startRegistryProxy({
  role,
  upstream,
  foreignServer,
  draw,
}: RegistryProxyOptions): Promise<RegistryProxy> {
  const faults: FaultRecord[] = [];
  const requests: ProxiedRequest[] = [];
  const gone = new Set<string>();
  const refused = new Set<string>();
  const sockets = new Set<Socket>();
  const faultsEnded = new AbortController();
  let isDown = false;

  const note = (kind: FaultRecord['kind'], repository: string): void => {
    faults.push({ role, repository, kind, at: Date.now() });
  };

  function pass(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const { method = '', url: path = '' } = incoming;
    const parsed = parseRequest(method, path);
    const { repository } = parsed;
    const entry: ProxiedRequest = {
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
    const drawn = draw.draw(role, parsed);
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
      applyFault('status-401', {
        upstream,
        foreignServer,
        incoming,
        outgoing,
        faultsEnded: faultsEnded.signal,
      });
      return;
    }
    if (drawn === undefined || faultsEnded.signal.aborted) {
      forward(upstream, incoming, outgoing);
      return;
    }
    note(drawn, repository);
    applyFault(drawn, {
      upstream,
      foreignServer,
      incoming,
      outgoing,
      faultsEnded: faultsEnded.signal,
    });
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
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');

  return {
    role,
    host: `127.0.0.1:${address.port}`,
    faults,
    requests,
    endFaults: () => faultsEnded.abort(),
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
