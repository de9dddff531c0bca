import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, request } from 'node:https';
import { after, before, describe, it } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { createApp } from '../../../functions/webhook/app.ts';
import { openServer, type WebhookServer } from '../../../functions/webhook/server.ts';
import { type ClientCa, makeCertificate, makeClientCa } from '../../support/certificate.ts';
import { createMemoryLog } from '../../support/memory-log.ts';

const refusal =
  'client certificate required: AdmissionReviews are accepted only with a certificate of a CA in TLS_CLIENT_CA_FILE\n';

interface Answer {
  readonly status: number | undefined;
  readonly text: string;
}

/** The client accepts every server certificate. */
describe('createApp with TLS_CLIENT_CA_FILE', () => {
  let clients: ClientCa;
  let server: WebhookServer;
  let reviews = 0;

  before(async () => {
    const { logger } = createMemoryLog();
    clients = await makeClientCa();
    const { fetch } = createApp({
      review: () => {
        reviews += 1;
        const response = { uid: 'u-1', allowed: true };
        return Promise.resolve({
          apiVersion: 'admission.k8s.io/v1',
          kind: 'AdmissionReview',
          response,
        });
      },
      demandsCertificate: true,
      isReady: () => true,
      metrics: { render: () => Promise.resolve('m 1\n'), contentType: 'text/plain' },
      logger,
    });
    const certificates = { ...(await makeCertificate('01')), ca: clients.ca };
    server = await openServer({ fetch, port: 0, certificates });
  });
  after(async () => {
    await server.close();
  });

  function send(
    method: string,
    path: string,
    identity: { readonly cert?: string; readonly key?: string } = {},
  ): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const options = { rejectUnauthorized: false, ...identity };
    const sent = request(
      {
        host: '127.0.0.1',
        port: server.port,
        method,
        path,
        headers: { 'content-type': 'application/json' },
        agent: new Agent(options),
      },
      (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => {
          text += chunk.toString();
        });
        response.on('end', () => resolve({ status: response.statusCode, text }));
      },
    );
    sent.once('error', reject).end(method === 'POST' ? '{}' : '');
    return promise;
  }

  it('accepts a review from a client with a certificate of the CA', async () => {
    const { status, text } = await send('POST', '/clone-image', await clients.issue());

    assert.equal(status, 200);
    assert.match(text, /"allowed":true/);
  });

  it('rejects a review without a client certificate before it reads the body', async () => {
    const before = reviews;

    assert.deepEqual(await send('POST', '/clone-image'), { status: 403, text: refusal });

    assert.equal(reviews, before);
  });

  it('rejects a client certificate of another CA with the same name', async () => {
    const foreign = await (await makeClientCa()).issue();

    assert.deepEqual(await send('POST', '/clone-image', foreign), { status: 403, text: refusal });
  });

  it('rejects a self-signed client certificate', async () => {
    const own = await makeCertificate('02');

    assert.deepEqual(await send('POST', '/clone-image', own), { status: 403, text: refusal });
  });

  for (const path of ['/readyz', '/livez', '/metrics']) {
    it(`serves ${path} without a client certificate, which the kubelet does not have`, async () => {
      assert.equal((await send('GET', path)).status, 200);
    });
  }

  // Node 20 reports a resumed TLS 1.3 session without a certificate as authorized.
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    it(`rejects a resumed ${version} session without a client certificate`, async () => {
      const first = open(version);
      const session = await sessionOf(first);
      first.destroy();

      const second = open(version, session);
      await once(second, 'secureConnect');

      assert.equal(second.isSessionReused(), true);
      assert.match(await postOn(second), /^HTTP\/1\.1 403 /);
    });
  }

  it('accepts a resumed TLS session with a client certificate', async () => {
    const identity = await clients.issue();
    const first = open('TLSv1.3', undefined, identity);
    const session = await sessionOf(first);
    first.destroy();

    const second = open('TLSv1.3', session, identity);

    assert.match(await postOn(second), /^HTTP\/1\.1 200 /);
  });

  it('accepts only client certificates of the new CA after TLS_CLIENT_CA_FILE changes', async () => {
    const old = await clients.issue();
    const next = await makeClientCa();

    server.renew({ ...(await makeCertificate('03')), ca: next.ca });

    assert.equal((await send('POST', '/clone-image', old)).status, 403);
    assert.equal((await send('POST', '/clone-image', await next.issue())).status, 200);
  });

  function open(
    version: 'TLSv1.2' | 'TLSv1.3',
    session?: Buffer,
    identity: { readonly cert?: string; readonly key?: string } = {},
  ): TLSSocket {
    return connect({
      host: '127.0.0.1',
      port: server.port,
      rejectUnauthorized: false,
      minVersion: version,
      maxVersion: version,
      ...identity,
      ...(session !== undefined && { session }),
    });
  }
});

/** A TLS 1.3 server sends the session after the handshake. */
function sessionOf(socket: TLSSocket): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  socket.once('session', resolve);
  socket.once('error', reject);
  socket.write('GET /readyz HTTP/1.1\r\nhost: w\r\n\r\n');
  socket.resume();
  return promise;
}

function postOn(socket: TLSSocket): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  socket.once('error', reject);
  socket.once('close', () => resolve(text));
  const head = ['POST /clone-image HTTP/1.1', 'host: w', 'connection: close', 'content-length: 2'];
  socket.write(`${head.join('\r\n')}\r\ncontent-type: application/json\r\n\r\n{}`);
  return promise;
}
