import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { text } from 'node:stream/consumers';

export interface CloudRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

export interface CloudResponse {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Answers one request; `undefined` leaves the connection open without an answer. */
export type Answer = (request: CloudRequest) => CloudResponse | undefined;

export interface CloudServer {
  readonly url: string;
  readonly host: string;
  readonly close: () => Promise<void>;
}

/** Serves the endpoints of a cloud over plain http on loopback. */
export async function serveCloud(
  answer: Answer,
  server: Server = createServer(),
): Promise<CloudServer> {
  server.on('request', (incoming, outgoing) => {
    void text(incoming).then((body) => {
      const { pathname, searchParams } = new URL(incoming.url ?? '', 'http://cloud.test');
      const { method = '', headers } = incoming;
      const response = answer({ method, path: pathname, query: searchParams, headers, body });
      if (response !== undefined) {
        outgoing.writeHead(response.status ?? 200, response.headers).end(response.body);
      }
    });
  });
  const listening = once(server, 'listening');
  server.listen(0, '127.0.0.1');
  await listening;
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  const host = `127.0.0.1:${address.port}`;
  return {
    host,
    url: `http://${host}`,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Sets variables of this process, which the vendors' libraries read. Returns a function that restores them. */
export function setEnv(values: Readonly<Record<string, string | undefined>>): () => void {
  const before = Object.keys(values).map((name) => [name, process.env[name]] as const);
  const set = (name: string, value: string | undefined): void => {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  };
  for (const [name, value] of Object.entries(values)) set(name, value);
  return () => {
    for (const [name, value] of before) set(name, value);
  };
}
