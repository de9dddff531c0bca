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
  'AdmissionReviews are taken only with a client certificate of the CA in TLS_CLIENT_CA_FILE\n';

interface Answer {
  readonly status: number | undefined;
  readonly text: string;
}

/** With a CA for clients, and a client that trusts everybody. */
describe('the app behind TLS_CLIENT_CA_FILE', () => {
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

  function ask(
    method: string,
    path: string,
    identity: { readonly cert?: string; readonly key?: string } = {},
  ): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const options = { rejectUnauthorized: false, ...identity };
    const asked = request(
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
    asked.once('error', reject).end(method === 'POST' ? '{}' : '');
    return promise;
  }

  it('takes a review from a client with a certificate of that CA', async () => {
    const { status, text } = await ask('POST', '/clone-image', await clients.issue());

    assert.equal(status, 200);
    assert.match(text, /"allowed":true/);
  });

  it('refuses one without, in a sentence, and never looks at it', async () => {
    const before = reviews;

    assert.deepEqual(await ask('POST', '/clone-image'), { status: 403, text: refusal });

    assert.equal(reviews, before);
  });

  it('refuses one of another CA with the same name', async () => {
    const stranger = await (await makeClientCa()).issue();

    assert.deepEqual(await ask('POST', '/clone-image', stranger), { status: 403, text: refusal });
  });

  it('refuses the server’s kind of certificate that signs itself', async () => {
    const own = await makeCertificate('02');

    assert.deepEqual(await ask('POST', '/clone-image', own), { status: 403, text: refusal });
  });

  for (const path of ['/readyz', '/livez', '/metrics']) {
    it(`answers ${path} to everybody, since the kubelet has no certificate`, async () => {
      assert.equal((await ask('GET', path)).status, 200);
    });
  }

  // Older Nodes take a resumed session of TLS 1.3 without a certificate for an authorized one.
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    it(`is not fooled by a session of ${version} that is resumed without a certificate`, async () => {
      const first = open(version);
      const session = await sessionOf(first);
      first.destroy();

      const second = open(version, session);
      await once(second, 'secureConnect');

      assert.equal(second.isSessionReused(), true);
      assert.match(await postOn(second), /^HTTP\/1\.1 403 /);
    });
  }

  it('knows a client again whose session is resumed', async () => {
    const identity = await clients.issue();
    const first = open('TLSv1.3', undefined, identity);
    const session = await sessionOf(first);
    first.destroy();

    const second = open('TLSv1.3', session, identity);

    assert.match(await postOn(second), /^HTTP\/1\.1 200 /);
  });

  it('takes new clients’ certificates of a new CA only', async () => {
    const old = await clients.issue();
    const next = await makeClientCa();

    server.renew({ ...(await makeCertificate('03')), ca: next.ca });

    assert.equal((await ask('POST', '/clone-image', old)).status, 403);
    assert.equal((await ask('POST', '/clone-image', await next.issue())).status, 200);
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

/** Of TLS 1.3 it comes after the first bytes. */
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
