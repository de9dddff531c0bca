import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { createApp } from '../../functions/webhook/app.ts';
import { openServer, type WebhookServer } from '../../functions/webhook/server.ts';
import { createMemoryLog } from '../support/memory-log.ts';
import { review } from '../support/reviews.ts';

const hidden = JSON.stringify(review({ namespace: 'hidden' }));
const inner = `POST /clone-image HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${hidden.length}\r\n\r\n${hidden}`;
const head = 'POST /clone-image HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n';

/** Requests whose end is ambiguous, with another request hidden inside. */
const shapes = [
  [
    'a length and chunks',
    `${head}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
  ],
  [
    'chunks and a length',
    `${head}transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n`,
  ],
  ['two lengths', `${head}content-length: 2\r\ncontent-length: 0\r\n\r\n{}`],
  ['two lengths in one', `${head}content-length: 2, 0\r\n\r\n{}`],
  ['a length with a sign', `${head}content-length: +2\r\n\r\n{}`],
  ['a length in hex', `${head}content-length: 0x2\r\n\r\n{}`],
  ['a negative length', `${head}content-length: -1\r\n\r\n{}`],
  ['a space before the colon', `${head}content-length : 2\r\ntransfer-encoding: chunked\r\n\r\n{}`],
  ['a tab before chunked', `${head}transfer-encoding:\tchunked, identity\r\n\r\n0\r\n\r\n`],
  ['chunked in the middle', `${head}transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n`],
  ['an unknown encoding', `${head}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n`],
  ['a folded header', `${head}transfer-encoding:\r\n chunked\r\ncontent-length: 2\r\n\r\n{}`],
  ['a chunk size with a sign', `${head}transfer-encoding: chunked\r\n\r\n-1\r\n\r\n`],
  ['a chunk size that wraps', `${head}transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n\r\n`],
  ['a header without a colon', `${head}transfer-encoding chunked\r\ncontent-length: 2\r\n\r\n{}`],
  ['a null in a header', `${head}x: a\u0000b\r\ncontent-length: 2\r\n\r\n{}`],
] as const;

describe('request smuggling', () => {
  const bodies: unknown[] = [];
  let server: WebhookServer;
  before(async () => {
    const { logger } = createMemoryLog();
    const { fetch } = createApp({
      review: (body) => {
        bodies.push(body);
        return Promise.resolve({
          apiVersion: 'admission.k8s.io/v1',
          kind: 'AdmissionReview',
          response: { uid: 'u', allowed: true },
        });
      },
      isReady: () => true,
      metrics: { render: () => Promise.resolve(''), contentType: 'text/plain' },
      logger,
    });
    server = await openServer({ fetch, port: 0 });
  });
  after(async () => {
    await server.close();
  });

  /** The response until the server closes the connection. */
  async function send(bytes: string): Promise<string> {
    const socket = connect(server.port, '127.0.0.1');
    let received = '';
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1');
    });
    socket.on('error', () => undefined);
    socket.write(bytes, 'latin1');
    await once(socket, 'close');
    return received;
  }

  for (const [what, shape] of shapes) {
    it(`rejects an ambiguous request and does not read the hidden one: ${what}`, async () => {
      bodies.length = 0;

      const received = await send(`${shape}${inner}`);

      assert.match(received, /^HTTP\/1\.1 400 /);
      assert.equal(received.match(/HTTP\/1\.1/g)?.length, 1);
      assert.ok(!JSON.stringify(bodies).includes('hidden'));
    });
  }
});
