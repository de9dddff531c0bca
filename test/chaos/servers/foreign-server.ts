import { once } from 'node:events';
import { createServer } from 'node:http';

/** A server that registries redirect to, and that must not receive credentials. */
export interface ForeignServer {
  readonly host: string;
  /** Every request that it received. */
  readonly received: () => string;
  readonly stop: () => Promise<void>;
}

export async function startForeignServer(): Promise<ForeignServer> {
  const received: string[] = [];
  const server = createServer((incoming, outgoing) => {
    const { method, url, rawHeaders } = incoming;
    received.push(`${method ?? ''} ${url ?? ''} ${rawHeaders.join(' ')}`);
    incoming.on('data', (chunk: Buffer) => {
      // Small bodies are forms with passwords; layers are larger.
      if (chunk.length < 4_096) received.push(chunk.toString('latin1'));
    });
    incoming.on('error', () => undefined);
    incoming.on('end', () => {
      const isToken = url?.startsWith('/token') === true;
      outgoing.writeHead(method === 'PUT' ? 201 : 200, { 'content-type': 'application/json' });
      outgoing.end(isToken ? '{"token":"issued-by-a-foreign-server"}' : '{"schemaVersion":2}');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string')
    throw new Error('the foreign server has no port');
  return {
    host: `127.0.0.1:${address.port}`,
    received: () => received.join('\n'),
    stop: async () => {
      server.close();
      server.closeAllConnections();
      if (server.listening) await once(server, 'close');
    },
  };
}
