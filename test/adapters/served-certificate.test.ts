import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { createServer as createTcpServer, type Server } from 'node:net';
import { describe, it } from 'node:test';
import { createServer } from 'node:tls';
import { readServedCertificate } from '../../lib/adapters/served-certificate.ts';
import { makeCertificate } from '../support/certificate.ts';

const { signal } = new AbortController();
const serverName = 'hook.ours.svc';

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}

describe('readServedCertificate', () => {
  it('reads the certificate that a server presents for the host name, also an expired one', async () => {
    const asked = await makeCertificate('01', { notAfter: new Date(0) });
    const other = await makeCertificate('02');
    const names: string[] = [];
    const server = createServer({
      ...other,
      SNICallback: (name, callback) => {
        names.push(name);
        callback(null, undefined);
      },
    });
    server.setSecureContext(asked);
    const port = await listen(server);

    const served = await readServedCertificate({ host: '127.0.0.1', port, serverName }, signal);

    assert.deepEqual(served, {
      server: `127.0.0.1:${port}`,
      certificate: new X509Certificate(asked.cert).raw.toString('base64'),
    });
    assert.deepEqual(names, [serverName]);
    server.close();
  });

  it('reports a server that refuses the connection, or speaks no TLS, without rejecting', async () => {
    const server = createTcpServer((socket) =>
      socket.resume().end('HTTP/1.1 400 Bad Request\r\n\r\n'),
    );
    const port = await listen(server);
    const read = (port: number): ReturnType<typeof readServedCertificate> =>
      readServedCertificate({ host: '127.0.0.1', port, serverName }, signal);

    const plain = await read(port);
    assert.equal(plain.certificate, undefined);
    assert.match(plain.problem ?? '', /^ERR_SSL|EPROTO/);
    server.close();
    await once(server, 'close');
    assert.deepEqual(await read(port), {
      server: `127.0.0.1:${port}`,
      problem: 'ECONNREFUSED',
    });
  });

  it('gives up on a server that never answers when its signal fires', async () => {
    const server = createTcpServer();
    const port = await listen(server);
    const stop = new AbortController();
    server.on('connection', () => stop.abort());

    assert.deepEqual(
      await readServedCertificate({ host: '127.0.0.1', port, serverName }, stop.signal),
      { server: `127.0.0.1:${port}`, problem: 'timeout' },
    );
    server.close();
  });
});
