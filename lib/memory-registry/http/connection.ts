import type { ServerResponse } from 'node:http';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';

/** The connection of a request; absent when a test calls the registry in the process. */
export interface Connection {
  /** Closes the connection without a response. */
  readonly destroy: () => Response;
  /** Sends this head and body unchanged, even if they contradict each other, then closes the connection. */
  readonly sendAndClose: (
    status: number,
    headers: Headers,
    body: AsyncIterable<Uint8Array>,
  ) => Promise<Response>;
  /** What `sendAndClose` has sent so far. */
  readonly sent: () => { readonly status: number; readonly bytes: number } | undefined;
  /** What `destroy` and `sendAndClose` return for the handler to return: the server sends nothing more. */
  readonly alreadySent: Response;
}

/** Gives a fault access to the Node response behind a hono request. */
export function createConnection(outgoing: ServerResponse): Connection {
  let sent: { status: number; bytes: number } | undefined;
  return {
    sent: () => sent,
    alreadySent: RESPONSE_ALREADY_SENT,
    destroy: () => {
      outgoing.destroy();
      return RESPONSE_ALREADY_SENT;
    },
    sendAndClose: async (status, headers, body) => {
      outgoing.shouldKeepAlive = false;
      outgoing.writeHead(status, [...headers].flat());
      outgoing.flushHeaders();
      sent = { status, bytes: 0 };
      for await (const chunk of body) {
        await write(outgoing, chunk);
        sent.bytes += chunk.length;
      }
      // `end` flushes what was written, so the client receives exactly that much.
      outgoing.socket?.end(() => outgoing.destroy());
      return RESPONSE_ALREADY_SENT;
    },
  };
}

/** Resolves when the chunk is flushed, or when the client has disconnected. */
async function write(outgoing: ServerResponse, chunk: Uint8Array): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  outgoing.write(chunk, () => resolve(undefined));
  await promise;
}
