import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { createApp } from '../../../functions/webhook/app.ts';
import { openServer, type WebhookServer } from '../../../functions/webhook/server.ts';
import { createMemoryLog } from '../../support/memory-log.ts';

const eightMiB = 8 * 1024 * 1024;

describe('createApp on a real server', () => {
  const { logger, lines } = createMemoryLog();
  let server: WebhookServer;
  let received: unknown;

  before(async () => {
    const { fetch } = createApp({
      review: (body) => {
        received = body;
        const response = { uid: 'u-1', allowed: true };
        return Promise.resolve({
          apiVersion: 'admission.k8s.io/v1',
          kind: 'AdmissionReview',
          response,
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

  /** Opens a connection, sends the bytes and resolves with the response. */
  async function send(headers: readonly string[], body: string, end = false): Promise<string> {
    const socket = connect(server.port, '127.0.0.1');
    await once(socket, 'connect');
    const head = ['POST /clone-image HTTP/1.1', 'host: w', 'connection: close', ...headers];
    socket.write(`${head.join('\r\n')}\r\ncontent-type: application/json\r\n\r\n${body}`);
    if (end) socket.destroy();
    return end ? '' : await text(socket);
  }

  const chunked = (body: string): string => `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;

  for (const length of [7, eightMiB]) {
    it(`accepts a review body of ${length} bytes without a content length`, async () => {
      const body = `{"a":1${' '.repeat(length - 7)}}`;

      const answer = await send(['transfer-encoding: chunked'], chunked(body));

      assert.match(answer, /^HTTP\/1\.1 200 /);
      assert.deepEqual(received, { a: 1 });
    });
  }

  it('rejects a review body without a content length that is larger than 8 MiB', async () => {
    const body = ' '.repeat(eightMiB + 1);

    const answer = await send(['transfer-encoding: chunked'], chunked(body));

    assert.match(answer, /^HTTP\/1\.1 413 [^]*the AdmissionReview is larger than 8 MiB\n$/);
  });

  it('logs no error when the API server disconnects before its body has arrived', async () => {
    await send(['content-length: 100'], '{"a"', true);
    await send(['transfer-encoding: chunked'], '5\r\n{"a"', true);
    assert.match(await send(['content-length: 2'], '{}'), /^HTTP\/1\.1 200 /);

    assert.deepEqual(
      lines.filter(({ level }) => level === 'error'),
      [],
    );
  });
});

describe('openServer', () => {
  it('closes the server although a client never completes its second request', async () => {
    const server = await openServer({
      fetch: () => new Response('OK'),
      port: 0,
      limits: { drainTimeout: 10 },
    });
    const socket = connect(server.port, '127.0.0.1');
    socket.on('error', () => undefined);
    // A proxy may lose its client and keep the connection.
    socket.write('GET / HTTP/1.1\r\nhost: w\r\n\r\nGET / HTTP/1.1\r\nho');
    await once(socket, 'data');

    await server.close();

    await once(socket, 'close');
  });
});
