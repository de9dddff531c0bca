import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Server } from 'node:net';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { createRegistryCloner } from '../../../../lib/adapters/registry/cloner.ts';
import {
  createFindEndpoint,
  type FindEndpoint,
} from '../../../../lib/adapters/registry/http/endpoint.ts';
import { createHttp, type Http } from '../../../../lib/adapters/registry/http/http.ts';
import { makeCertificate } from '../../../support/certificate.ts';

const { signal } = new AbortController();

describe('createFindEndpoint', () => {
  const servers: Server[] = [];
  const https: Http[] = [];
  let requests: number;

  beforeEach(() => {
    requests = 0;
  });
  afterEach(async () => {
    await Promise.all(https.splice(0).map((http) => http.close()));
    for (const server of servers.splice(0)) server.close();
  });

  interface Options {
    readonly insecure?: string[];
    readonly insideCluster?: boolean;
    readonly ca?: string[];
  }

  function openHttp({ insecure = [], insideCluster = false, ca }: Options): Http {
    const trust = ca && { certificates: () => ca, refresh: async () => {} };
    const http = createHttp({ configuredHosts: insecure, insideCluster, ...(trust && { trust }) });
    https.push(http);
    return http;
  }

  function open(options: Options = {}): FindEndpoint {
    const { insecure = [], insideCluster = false } = options;
    const http = openHttp(options);
    return createFindEndpoint({ http, insecureRegistries: insecure, insideCluster });
  }

  async function listen(server: Server, port = 0): Promise<number> {
    servers.push(server);
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    return address.port;
  }

  const plain = (): Server =>
    createServer((_request, response) => {
      requests += 1;
      response.end();
    });

  const cases = [
    ['docker.io', [], false, 'https://registry-1.docker.io/'],
    ['quay.io', [], false, 'https://quay.io/'],
    ['quay.io:443', [], false, 'https://quay.io/'],
    ['reg.test:5000', ['reg.test:5000'], true, 'http://reg.test:5000/'],
    ['reg.test:5000', ['reg.test'], true, 'https://reg.test:5000/'],
    ['reg.test:443', ['reg.test:443'], true, 'http://reg.test:443/'],
    ['10.0.0.1:5000', [], false, 'https://10.0.0.1:5000/'],
    ['127.0.0.1:5000', [], true, 'https://127.0.0.1:5000/'],
    ['[::1]:5000', ['[::1]:5000'], false, 'http://[::1]:5000/'],
    ['[fd00::1]:5000', [], false, 'https://[fd00::1]:5000/'],
  ] as const;
  for (const [domain, insecure, insideCluster, expected] of cases) {
    const where = insideCluster ? ' inside a cluster' : '';
    it(`chooses ${expected} for ${domain} with INSECURE_REGISTRIES=${insecure.join()}${where}`, async () => {
      const endpoint = await open({ insecure: [...insecure], insideCluster })(domain, signal);

      assert.equal(endpoint.href, expected);
    });
  }

  for (const domain of ['reg.test:99999', '1.2.3.4.5', '[:::]']) {
    it(`rejects ${domain} as a registry host`, async () => {
      await assert.rejects(open()(domain, signal), {
        name: 'RegistryError',
        reason: 'UNSUPPORTED',
        message: `${domain} is not a valid registry host`,
      });
    });
  }

  it('falls back to plain http for a registry on loopback, and probes it once', async () => {
    const domain = `127.0.0.1:${await listen(plain())}`;
    const find = open();

    assert.equal((await find(domain, signal)).href, `http://${domain}/`);
    const requestsBefore = requests;
    assert.equal((await find(domain, signal)).href, `http://${domain}/`);
    assert.equal(requests, requestsBefore);
  });

  it('prefers https for a registry on loopback', async () => {
    const { cert, key } = await makeCertificate('01');
    const domain = `127.0.0.1:${await listen(createTlsServer({ cert, key }, (_request, response) => response.end()))}`;

    assert.equal((await open({ ca: [cert] })(domain, signal)).href, `https://${domain}/`);
  });

  const hourMs = 3_600_000;
  const past = new Date(Date.now() - hourMs);
  const future = new Date(Date.now() + hourMs);
  const certificates = [
    [
      'self-signed',
      {},
      { isTrusted: false },
      'its certificate is self-signed; add it to REGISTRY_CA_FILE',
    ],
    [
      'expired',
      { notBefore: new Date(past.getTime() - hourMs), notAfter: past },
      { isTrusted: true },
      'its certificate has expired',
    ],
    [
      'not yet valid',
      { notBefore: future, notAfter: new Date(future.getTime() + hourMs) },
      { isTrusted: true },
      'its certificate is not valid yet; check the clock of the node',
    ],
    [
      'for another address',
      { address: '127.0.0.9' },
      { isTrusted: true },
      'its certificate is for another host name',
    ],
  ] as const;
  for (const [what, fields, { isTrusted }, message] of certificates) {
    it(`does not fall back to plain http when the certificate of a loopback registry is ${what}`, async () => {
      const { cert, key } = await makeCertificate('01', fields);
      const domain = `127.0.0.1:${await listen(createTlsServer({ cert, key }))}`;
      const find = open(isTrusted ? { ca: [cert] } : {});

      await assert.rejects(find(domain, signal), {
        name: 'RegistryError',
        reason: 'UNAVAILABLE',
        message: `connecting to ${domain}: ${message}`,
      });
    });
  }

  it('does not fall back to plain http when a loopback registry rejects the TLS handshake', async () => {
    const { cert, key } = await makeCertificate('01');
    // It requires a client certificate.
    const options = { cert, key, requestCert: true, maxVersion: 'TLSv1.2' } as const;
    const domain = `127.0.0.1:${await listen(createTlsServer(options))}`;

    await assert.rejects(open({ ca: [cert] })(domain, signal), {
      message: `connecting to ${domain}: it rejected the TLS handshake`,
    });
  });

  it('probes a loopback registry again after it was down', async () => {
    const { cert, key } = await makeCertificate('01');
    const server = createTlsServer({ cert, key }, (_request, response) => response.end());
    const port = await listen(server);
    server.close();
    await once(server, 'close');
    const find = open({ ca: [cert] });
    assert.equal((await find(`127.0.0.1:${port}`, signal)).protocol, 'http:');

    await listen(server, port);

    assert.equal((await find(`127.0.0.1:${port}`, signal)).protocol, 'https:');
  });

  it('calls a loopback registry over https that was down at the first request', async () => {
    const { cert, key } = await makeCertificate('01');
    const digest = `sha256:${'a'.repeat(64)}`;
    const server = createTlsServer({ cert, key }, (_request, response) =>
      response.setHeader('docker-content-digest', digest).end(),
    );
    const port = await listen(server);
    server.close();
    await once(server, 'close');
    const cloner = createRegistryCloner({
      http: openHttp({ ca: [cert] }),
      findEndpoint: open({ ca: [cert] }),
      sleep: () => Promise.resolve(),
    });
    const resolve = (): ReturnType<typeof cloner.resolve> =>
      cloner.resolve({ domain: `127.0.0.1:${port}`, path: 'app' }, { side: 'backup' }, signal);
    await assert.rejects(resolve(), { code: 'BACKUP_UNAVAILABLE' });

    await listen(server, port);

    assert.equal((await resolve())?.digest, digest);
  });
});
