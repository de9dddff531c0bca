import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { createServer as createTcpServer, type Server as TcpServer } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import {
  createHttp,
  type Http,
  type HttpOptions,
} from '../../../../lib/adapters/registry/http/http.ts';
import { drop, readBody } from '../../../../lib/adapters/registry/http/response.ts';

const { signal } = new AbortController();
const step = 'asking';

describe('createHttp', () => {
  let server: Server;
  let proxy: Server;
  let port: number;
  let proxyPort: number;
  const connects: string[] = [];
  const opened: Http[] = [];

  before(async () => {
    server = createServer((request, response) => {
      if (request.url === '/long') {
        response.end('x'.repeat(100_000));
        return;
      }
      const announced = /^\/announced\/(\d+)$/.exec(request.url ?? '')?.[1] ?? 0;
      for (let n = 0; n < Number(announced); n += 1) response.writeProcessing();
      if (request.url === '/gzip') {
        response.setHeader('content-encoding', 'gzip').end('not gzip');
        return;
      }
      response.end(
        `${request.method} ${request.headers.host} ${request.headers['accept-encoding']}`,
      );
    });
    proxy = createServer((request, response) => response.end(`through the proxy: ${request.url}`));
    proxy.on('connect', (request, socket) => {
      connects.push(`${request.url} ${request.headers['proxy-authorization']}`);
      socket.end('HTTP/1.1 502 no\r\n\r\n');
    });
    [port, proxyPort] = [await listen(server), await listen(proxy)];
  });
  after(async () => {
    await Promise.all(opened.map((http) => http.close()));
    for (const each of [server, proxy]) {
      each.close();
      each.closeAllConnections();
    }
  });

  function open(options: Partial<HttpOptions> = {}): Http {
    const http = createHttp({
      configuredHosts: [],
      insideCluster: false,
      ...options,
    });
    opened.push(http);
    return http;
  }

  async function get(http: Http, url: string, sentBy?: string): Promise<string> {
    const answer = await http.send({
      method: 'GET',
      url: new URL(url),
      signal,
      step,
      ...(sentBy !== undefined && { sentBy: new URL(sentBy) }),
    });
    return new TextDecoder().decode(await readBody(answer, 1_000, step));
  }

  const forbidden = {
    name: 'RegistryError',
    reason: 'REFUSED',
    message: 'asking: the egress policy forbids the address',
  };

  it('requests no compressed responses, and decodes none', async () => {
    assert.equal(await get(open(), `http://127.0.0.1:${port}/`), `GET 127.0.0.1:${port} undefined`);
    assert.equal(await get(open(), `http://127.0.0.1:${port}/gzip`), 'not gzip');
  });

  // Every resolver resolves localhost to loopback.
  it('checks the resolved address of a host that a public registry named', async () => {
    await assert.rejects(get(open(), `http://localhost:${port}/`, 'https://1.1.1.1/'), forbidden);
  });

  it('checks the resolved address inside a cluster', async () => {
    const http = open({ insideCluster: true });

    await assert.rejects(get(http, `http://localhost:${port}/`), forbidden);
    await assert.rejects(get(http, `http://127.0.0.1:${port}/`), forbidden);
  });

  it('allows a loopback registry inside a cluster if it is configured', async () => {
    const http = open({ insideCluster: true, configuredHosts: [`127.0.0.1:${port}`] });

    assert.match(await get(http, `http://127.0.0.1:${port}/`), /^GET /);
  });

  it('checks the address of a host name, not the name', async () => {
    const lookup: unknown = (
      _hostname: string,
      _options: unknown,
      callback: (error: null, addresses: readonly object[]) => void,
    ) => callback(null, [{ address: '127.0.0.1', family: 4 }]);
    assert.ok(isLookup(lookup));
    const http = open({ lookup });

    assert.equal(
      await get(http, `http://registry.test:${port}/`),
      `GET registry.test:${port} undefined`,
    );
    await assert.rejects(get(http, `http://registry.test:${port}/`, 'https://1.1.1.1/'), forbidden);
    await assert.rejects(
      get(open({ lookup, insideCluster: true }), `http://registry.test:${port}/`),
      forbidden,
    );
  });

  it('reports a refused connection', async () => {
    await assert.rejects(get(open(), 'http://127.0.0.1:1/'), {
      reason: 'UNAVAILABLE',
      message: 'connecting to 127.0.0.1:1: connection refused',
      problem: 'refused',
    });
  });

  it('reports a server that does not speak https', async () => {
    await assert.rejects(get(open(), `https://127.0.0.1:${port}/`), {
      reason: 'UNAVAILABLE',
      message: `connecting to 127.0.0.1:${port}: it does not speak https; if it uses plain http, add it to INSECURE_REGISTRIES`,
      problem: 'not-https',
    });
  });

  it('keeps the connection after a HEAD', async () => {
    const http = open();
    let connections = 0;
    const count = (): void => {
      connections += 1;
    };
    server.on('connection', count);

    for (const method of ['HEAD', 'HEAD', 'GET', 'HEAD', 'HEAD', 'GET'] as const) {
      await drop(
        await http.send({ method, url: new URL(`http://127.0.0.1:${port}/`), signal, step }),
      );
      // undici returns the connection to its pool in a later turn of the event loop.
      await setImmediate();
    }
    server.off('connection', count);

    assert.equal(connections, 1);
  });

  it('reads the next response after a server sent a body to a HEAD', async () => {
    const answer = 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello';
    const surplus = createTcpServer((socket) => {
      socket.on('error', () => undefined).on('data', () => socket.write(answer));
    });
    const surplusPort = await listen(surplus);
    const http = open();
    const url = new URL(`http://127.0.0.1:${surplusPort}/`);

    await drop(await http.send({ method: 'HEAD', url, signal, step }));
    const response = await http.send({ method: 'GET', url, signal, step });
    const text = new TextDecoder().decode(await readBody(response, 100, step));
    surplus.close();

    assert.equal(text, 'hello');
  });

  it('rejects a URL with a password', async () => {
    await assert.rejects(get(open(), `http://me:5ecret@127.0.0.1:${port}/`), {
      message: 'asking: the URL contains credentials or is neither http nor https',
    });
  });

  it('rejects a response body that exceeds the limit', async () => {
    await assert.rejects(get(open(), `http://127.0.0.1:${port}/long`), {
      reason: 'UNSUPPORTED',
      message: 'asking: the response is larger than 1000 bytes',
    });
  });

  it('discards a long response body without an error', async () => {
    const http = open();
    const answer = await http.send({
      method: 'GET',
      url: new URL(`http://127.0.0.1:${port}/long`),
      signal,
      step,
    });

    await drop(answer);

    assert.match(await get(http, `http://127.0.0.1:${port}/`), /^GET /);
  });

  it('accepts a response after a 1xx response', async () => {
    assert.match(await get(open(), `http://127.0.0.1:${port}/announced/100`), /^GET /);
  });

  it('rejects an endless series of 1xx responses', async () => {
    await assert.rejects(get(open(), `http://127.0.0.1:${port}/announced/101`), {
      reason: 'REFUSED',
      message: 'asking: more than 100 informational (1xx) responses',
    });
  });

  it('rejects an HTTP request with the abort reason of its signal', async () => {
    const reason = new Error('enough');
    const request = { method: 'GET', url: new URL(`http://127.0.0.1:${port}/`), step } as const;

    await assert.rejects(open().send({ ...request, signal: AbortSignal.abort(reason) }), reason);
  });

  it('says that a registry in INSECURE_REGISTRIES speaks https when it answers plain http with a TLS alert', async (context) => {
    const tls = createTcpServer((socket) => socket.end(Uint8Array.of(0x15, 3, 1, 0, 2, 2, 0x46)));
    context.after(() => tls.close());
    const host = `127.0.0.1:${await listen(tls)}`;

    await assert.rejects(get(open({ insecureRegistries: [host] }), `http://${host}/`), {
      name: 'RegistryError',
      reason: 'UNAVAILABLE',
      isTransient: false,
      message: `connecting to ${host}: plain http was tried because INSECURE_REGISTRIES lists it; it speaks https: remove it from the list`,
    });
  });

  describe('with a proxy', () => {
    it('sends plain http through HTTP_PROXY', async () => {
      const http = open({ proxy: { http: `http://127.0.0.1:${proxyPort}`, https: '', no: '' } });

      assert.equal(
        await get(http, 'http://reg.test/v2/'),
        'through the proxy: http://reg.test/v2/',
      );
    });

    it('closes the connection to the proxy after a HEAD, because all origins share it', async () => {
      const http = open({ proxy: { http: `http://127.0.0.1:${proxyPort}`, https: '', no: '' } });
      let connections = 0;
      const count = (): void => {
        connections += 1;
      };
      proxy.on('connection', count);

      for (const host of ['one.test', 'two.test']) {
        const url = new URL(`http://${host}/`);
        await drop(await http.send({ method: 'HEAD', url, signal, step }));
        await setImmediate();
      }
      proxy.off('connection', count);

      assert.equal(connections, 2);
    });

    it('sends https through HTTPS_PROXY, which may come without a scheme and with a password', async () => {
      const http = open({ proxy: { https: `me:5ecret@127.0.0.1:${proxyPort}` } });
      connects.length = 0;

      await assert.rejects(get(http, 'https://reg.test/v2/'), { reason: 'UNAVAILABLE' });
      assert.deepEqual(connects, ['reg.test:443 Basic bWU6NWVjcmV0']);
    });

    it('sends no https through HTTP_PROXY', async () => {
      const http = open({ proxy: { http: `http://127.0.0.1:${proxyPort}` } });
      connects.length = 0;

      await assert.rejects(get(http, 'https://127.0.0.1:1/'), { problem: 'refused' });
      assert.deepEqual(connects, []);
    });

    for (const no of ['127.0.0.1', '10.0.0.0/8, 127.0.0.0/8', '127.0.0.1/32', '*']) {
      it(`connects directly to an address that NO_PROXY=${no} contains`, async () => {
        const http = open({ proxy: { http: `http://127.0.0.1:${proxyPort}`, no } });

        assert.match(await get(http, `http://127.0.0.1:${port}/`), /^GET /);
      });
    }

    for (const no of ['10.0.0.0/8', '127.0.0.0/33', '127.0.0.1:1', '/8']) {
      it(`uses the proxy for an address that NO_PROXY=${no} does not contain`, async () => {
        const http = open({ proxy: { http: `http://127.0.0.1:${proxyPort}`, no } });

        assert.match(await get(http, `http://127.0.0.1:${port}/`), /^through the proxy: /);
      });
    }

    for (const no of ['.corp.test', 'corp.test', '*.corp.test', 'reg.corp.test:80']) {
      it(`does not send reg.corp.test to the proxy with NO_PROXY=${no}`, async () => {
        const lookup: unknown = (
          _host: string,
          _options: object,
          callback: (error: Error, addresses: readonly object[]) => void,
        ) => callback(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' }), []);
        assert.ok(isLookup(lookup));
        const http = open({ proxy: { http: `http://127.0.0.1:${proxyPort}`, no }, lookup });

        await assert.rejects(get(http, 'http://reg.corp.test/v2/'), { problem: 'no-such-host' });
      });
    }

    it('checks literal addresses before it passes them to the proxy', async () => {
      const http = open({ proxy: { http: `http://127.0.0.1:${proxyPort}` } });

      await assert.rejects(get(http, 'http://169.254.169.254/'), forbidden);
      await assert.rejects(get(http, 'http://10.0.0.1/', 'http://reg.test/'), forbidden);
    });
  });
});

async function listen(server: TcpServer): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return address.port;
}

function isLookup(value: unknown): value is NonNullable<HttpOptions['lookup']> {
  return typeof value === 'function';
}
