import type { ServerResponse } from 'node:http';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import type { Wire } from './exchange.ts';

/** The node response under a hono request. */
export function createWire(outgoing: ServerResponse): Wire {
  let sent: { status: number; bytes: number } | undefined;
  return {
    sent: () => sent,
    answered: RESPONSE_ALREADY_SENT,
    destroy: () => {
      outgoing.destroy();
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
      // What was written is sent first: the reader gets that much and no more.
      outgoing.socket?.end(() => outgoing.destroy());
    },
  };
}

/** Resolves when it is handed to the system, or when there is nobody to hand it to. */
async function write(outgoing: ServerResponse, chunk: Uint8Array): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  outgoing.write(chunk, () => resolve(undefined));
  await promise;
}
