import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import { after, before, describe, it } from 'node:test';
import { TLSSocket } from 'node:tls';
import { createHttp, type Http } from '../../../../lib/adapters/registry/http/http.ts';
import { readBody } from '../../../../lib/adapters/registry/http/response.ts';
import { type CertificateAndKey, makeCertificate } from '../../../support/certificate.ts';

const { signal } = new AbortController();
const step = 'asking';

describe('connections of createHttp', () => {
  let [one, other]: CertificateAndKey[] = [];
  const servers: Server[] = [];
  const opened: Http[] = [];

  before(async () => {
    [one, other] = [await makeCertificate('01'), await makeCertificate('02')];
  });
  after(async () => {
    await Promise.all(opened.map((http) => http.close()));
    for (const server of servers) server.close();
  });

  /** Tells in the body whether the session was resumed, and closes every connection after its response. */
  async function listen(maxVersion: 'TLSv1.2' | 'TLSv1.3', port = 0): Promise<Server> {
    const server = createServer({ ...one, maxVersion }, ({ socket }, response) => {
      const isResumed = socket instanceof TLSSocket && socket.isSessionReused();
      response.setHeader('connection', 'close').end(isResumed ? 'resumed' : 'new');
    });
    servers.push(server);
    await once(server.listen(port, '127.0.0.1'), 'listening');
    return server;
  }

  function open(): { readonly http: Http; readonly hosts: string[] } {
    const hosts: string[] = [];
    const certificates = [one?.cert ?? '', other?.cert ?? ''];
    const trust = { certificates: () => certificates, refresh: async () => {} };
    const onConnect = (host: string): void => void hosts.push(host);
    const http = createHttp({ configuredHosts: [], insideCluster: false, trust, onConnect });
    opened.push(http);
    return { http, hosts };
  }

  async function get(http: Http, port: number): Promise<string> {
    const url = new URL(`https://127.0.0.1:${port}/`);
    const answer = await http.send({ method: 'GET', url, signal, step });
    return new TextDecoder().decode(await readBody(answer, 1_000, step));
  }

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    it(`resumes the session of a closed connection (${version})`, async () => {
      const port = portOf(await listen(version));
      const { http } = open();

      assert.deepEqual(
        [await get(http, port), await get(http, port), await get(http, port)],
        ['new', 'resumed', 'resumed'],
      );
    });
  }

  it('resumes no session at another port of the host', async () => {
    const [first, second] = [await listen('TLSv1.3'), await listen('TLSv1.3')];
    const { http } = open();

    assert.deepEqual(
      [await get(http, portOf(first)), await get(http, portOf(second))],
      ['new', 'new'],
    );
  });

  it('connects anew when a server that was replaced does not know the session', async () => {
    const server = await listen('TLSv1.3');
    const port = portOf(server);
    const { http } = open();
    assert.equal(await get(http, port), 'new');
    await new Promise((resolve) => server.close(resolve));
    await listen('TLSv1.3', port);

    assert.equal(await get(http, port), 'new');
  });

  it('reports each new connection with its host', async () => {
    const port = portOf(await listen('TLSv1.3'));
    const { http, hosts } = open();

    await get(http, port);
    await get(http, port);

    assert.deepEqual(hosts, [`127.0.0.1:${port}`, `127.0.0.1:${port}`]);
  });
});

function portOf(server: Server): number {
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return address.port;
}
