import { once } from 'node:events';
import { createServer, request, type Server } from 'node:http';
import { connect, type Socket } from 'node:net';

export interface ConnectProxy {
  readonly url: string;
  /** `host:port` of each connection. */
  readonly targets: readonly string[];
  readonly close: () => Promise<void>;
}

/** An HTTP proxy that connects the names of clouds' servers to servers on loopback. */
export async function serveConnectProxy(
  toPort: (target: string) => number | undefined,
): Promise<ConnectProxy> {
  const server: Server = createServer();
  const targets: string[] = [];
  const sockets = new Set<Socket>();
  server.on('connect', ({ url = '' }, client: Socket) => {
    targets.push(url);
    sockets.add(client);
    const port = toPort(url);
    if (port === undefined) {
      client.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
      return;
    }
    const upstream = connect(port, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 OK\r\n\r\n');
      upstream.pipe(client);
      client.pipe(upstream);
    });
    upstream.on('error', () => client.destroy());
    client.on('error', () => upstream.destroy());
  });
  // undici sends plain http without CONNECT.
  server.on('request', (incoming, outgoing) => {
    const { host, pathname, search } = new URL(incoming.url ?? '');
    const { method, headers } = incoming;
    targets.push(host);
    const options = { host: '127.0.0.1', port: toPort(host), path: pathname + search };
    const forwarded = request({ ...options, method, headers }, (response) => {
      outgoing.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(outgoing);
    });
    forwarded.on('error', () => outgoing.destroy());
    incoming.pipe(forwarded);
  });
  const listening = once(server, 'listening');
  server.listen(0, '127.0.0.1');
  await listening;
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    targets,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      server.closeAllConnections();
      await closed;
    },
  };
}
