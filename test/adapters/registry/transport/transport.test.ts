import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import nock from 'nock';
import type {
  RegistryRequest,
  RegistryResponse,
} from '../../../../lib/adapters/registry/transport/index.ts';
import {
  acme,
  acmeBasic,
  bearer,
  type Harness,
  type HarnessOptions,
  openHarness,
  useNock,
} from '../nock-harness.ts';

const { signal } = new AbortController();
const path = '/v2/team/app/blobs/x';
const anonymous = { badheaders: ['authorization', 'cookie'] };
const notCalled = 'reading: the egress policy forbids the address';

async function request(
  harness: Harness,
  method: 'GET' | 'HEAD' = 'GET',
  url = `https://reg.test${path}`,
): Promise<RegistryResponse> {
  return await harness.send(
    { method, url: new URL(url), scopes: ['s'], expect: [200, 404], step: 'reading' },
    signal,
  );
}

async function textOf({ body }: RegistryResponse): Promise<string> {
  return await body.text();
}

describe('createTransport, redirects', () => {
  useNock();
  const known: HarnessOptions = { credentials: acme, isConfigured: true };

  it('keeps the credentials on a redirect within the registry', async () => {
    const own = { reqheaders: { authorization: acmeBasic } };
    nock('https://reg.test', own).get(path).reply(307, '', { location: '/blob?sig=1' });
    nock('https://reg.test', own).get('/blob?sig=1').reply(200, 'bytes');

    const answer = await request(openHarness(known));

    assert.equal(await textOf(answer), 'bytes');
    assert.equal(answer.url.href, 'https://reg.test/blob?sig=1');
  });

  const elsewhere = [
    ['another host', 'https://cdn.test/blob?sig=a%2Fb'],
    ['another port', 'https://reg.test:8443/blob?sig=a%2Fb'],
    ['a subdomain', 'https://cdn.reg.test/blob?sig=a%2Fb'],
  ] as const;
  for (const [what, location] of elsewhere) {
    for (const status of [301, 302, 303, 307, 308]) {
      it(`drops the credentials on a redirect to ${what} by ${status}`, async () => {
        nock('https://reg.test', { reqheaders: { authorization: acmeBasic } })
          .get(path)
          .reply(status, '', { location });
        nock(new URL(location).origin, anonymous).get('/blob?sig=a%2Fb').reply(200, 'bytes');

        assert.equal(await textOf(await request(openHarness(known))), 'bytes');
      });
    }
  }

  it('does not send the credentials again on a redirect back', async () => {
    nock('https://reg.test').get(path).reply(307, '', { location: 'https://evil.test/' });
    nock('https://evil.test', anonymous)
      .get('/')
      .reply(307, '', { location: 'https://reg.test/v2/secret' });
    nock('https://reg.test', anonymous).get('/v2/secret').reply(200, 'bytes');

    assert.equal(await textOf(await request(openHarness(known))), 'bytes');
  });

  it('keeps the method HEAD on a redirect', async () => {
    nock('https://reg.test').head(path).reply(307, '', { location: 'https://cdn.test/blob' });
    nock('https://cdn.test', anonymous).head('/blob').reply(200);

    assert.equal((await request(openHarness(known), 'HEAD')).status, 200);
  });

  it('keeps the range header on a redirect', async () => {
    nock('https://reg.test').get(path).reply(307, '', { location: 'https://cdn.test/blob' });
    nock('https://cdn.test', { reqheaders: { range: 'bytes=5-' } })
      .get('/blob')
      .reply(206, 'rest');

    const answer = await openHarness().send(
      {
        method: 'GET',
        url: new URL(`https://reg.test${path}`),
        headers: { range: 'bytes=5-' },
        scopes: [],
        expect: [206],
        step: 'reading',
      },
      signal,
    );

    assert.equal(await textOf(answer), 'rest');
  });

  it('follows five redirects', async () => {
    for (let hop = 0; hop < 5; hop += 1) {
      nock('https://reg.test')
        .get(hop === 0 ? path : `/${hop}`)
        .reply(307, '', { location: `/${hop + 1}` });
    }
    nock('https://reg.test').get('/5').reply(200, 'bytes');

    assert.equal(await textOf(await request(openHarness())), 'bytes');
  });

  it('rejects a sixth redirect', async () => {
    nock('https://reg.test').get(path).reply(307, '', { location: path });
    nock('https://reg.test').get(path).times(5).reply(307, '', { location: path });

    await assert.rejects(request(openHarness()), {
      reason: 'REFUSED',
      message: 'reading: it redirects more than 5 times',
    });
  });

  const refused = [
    [
      'from https to http',
      'http://reg.test/blob',
      'reading: it redirects from https to plain http',
    ],
    [
      'to another protocol',
      'ftp://reg.test/blob',
      'reading: it redirects from https to plain http',
    ],
    ['to an invalid URL', 'https://[', 'reading: it redirects to an invalid URL'],
    [
      'with a password',
      'https://u:5ecret@cdn.test/',
      'reading: the URL contains credentials or is neither http nor https',
    ],
    ['to a private address', 'https://10.0.0.1/', notCalled],
    ['to loopback', 'https://127.0.0.1/', notCalled],
    ['to loopback in IPv6', 'https://[::1]/', notCalled],
    ['to loopback as IPv4 in IPv6', 'https://[::ffff:127.0.0.1]/', notCalled],
    ['to loopback in hexadecimal', 'https://0x7f.1/', notCalled],
    ['to loopback in decimal', 'https://2130706433/', notCalled],
    ['to localhost', 'https://localhost/', notCalled],
    ['to a name below localhost', 'https://x.localhost./', notCalled],
    ['to a metadata address', 'https://169.254.169.254/latest/meta-data/', notCalled],
    ['to a metadata address in IPv6', 'https://[fd00:ec2::254]/', notCalled],
  ] as const;
  for (const [what, location, message] of refused) {
    for (const method of ['GET', 'HEAD'] as const) {
      it(`does not follow a redirect of ${method} ${what}`, async () => {
        nock('https://reg.test').intercept(path, method).reply(307, '', { location });
        const harness = openHarness({ insideCluster: false });

        await assert.rejects(request(harness, method), { reason: 'REFUSED', message });
        assert.deepEqual(harness.pauses, []);
      });
    }
  }

  it('follows a redirect of a private registry to another private address', async () => {
    nock('https://10.0.0.1').get(path).reply(307, '', { location: 'https://10.0.0.2/blob' });
    nock('https://10.0.0.2').get('/blob').reply(200, 'bytes');
    const harness = openHarness({ registry: 'https://10.0.0.1' });

    assert.equal(await textOf(await request(harness, 'GET', `https://10.0.0.1${path}`)), 'bytes');
  });

  it('does not follow redirects of a private registry over a public host to a private address', async () => {
    nock('https://10.0.0.1').get(path).reply(307, '', { location: 'https://1.1.1.1/' });
    nock('https://1.1.1.1').get('/').reply(307, '', { location: 'https://10.0.0.2/' });
    const harness = openHarness({ registry: 'https://10.0.0.1' });

    await assert.rejects(request(harness, 'GET', `https://10.0.0.1${path}`), {
      message: notCalled,
    });
  });

  it('follows a redirect of a public registry to a configured private host, at its port only', async () => {
    const configuredHosts = ['10.0.0.1:5000'];
    nock('https://reg.test').get(path).reply(307, '', { location: 'https://10.0.0.1:5000/blob' });
    nock('https://10.0.0.1:5000', anonymous).get('/blob').reply(200, 'bytes');
    nock('https://reg.test').get(path).reply(307, '', { location: 'https://10.0.0.1:6443/api' });
    const harness = openHarness({ configuredHosts });

    assert.equal(await textOf(await request(harness)), 'bytes');
    await assert.rejects(request(harness), { message: notCalled });
  });

  it('rejects loopback and metadata addresses as registries inside a cluster', async () => {
    for (const host of ['127.0.0.1:5000', 'localhost:5000', '169.254.169.254']) {
      const harness = openHarness({ registry: `https://${host}`, insideCluster: true });

      await assert.rejects(request(harness, 'GET', `https://${host}${path}`), {
        message: notCalled,
      });
    }
  });

  async function write(body?: RegistryRequest['body']): Promise<RegistryResponse> {
    const url = new URL(`https://reg.test${path}`);
    const write = { method: 'POST', url, scopes: [], expect: [202], step: 'writing' } as const;
    return await openHarness(known).send({ ...write, ...(body && { body }) }, signal);
  }

  for (const status of [307, 308]) {
    it(`follows a redirect (${status}) of a write within the registry, with body and credentials`, async () => {
      const own = { reqheaders: { authorization: acmeBasic } };
      const body = Buffer.from('bytes');
      nock('https://reg.test', own).post(path).reply(status, '', { location: '/other' });
      nock('https://reg.test', own).post('/other', 'bytes').reply(202);

      const { url } = await write(body);

      assert.equal(url.href, 'https://reg.test/other');
    });

    it(`does not follow a redirect (${status}) of a stream`, async () => {
      nock('https://reg.test').post(path).reply(status, '', { location: '/other' });
      const body = (): Uint8Array => Buffer.from('bytes');

      await assert.rejects(write(body), {
        reason: 'REFUSED',
        message: `writing: status ${status}`,
      });
    });
  }

  const refusedWrites = [
    [301, '/other'],
    [302, '/other'],
    [303, '/other'],
    [307, 'https://evil.test/'],
    [308, 'https://reg.test:8443/other'],
  ] as const;
  for (const [status, location] of refusedWrites) {
    it(`does not follow a redirect (${status}) of a write to ${location}`, async () => {
      nock('https://reg.test').post(path).reply(status, '', { location });

      await assert.rejects(write(), { reason: 'REFUSED', message: `writing: status ${status}` });
    });
  }

  it('requests a new redirect when the object store denies access', async () => {
    nock('https://reg.test').get(path).reply(307, '', { location: 'https://cdn.test/?sig=1' });
    nock('https://cdn.test').get('/?sig=1').reply(403, '<Error>Request has expired</Error>');
    nock('https://reg.test').get(path).reply(307, '', { location: 'https://cdn.test/?sig=2' });
    nock('https://cdn.test').get('/?sig=2').reply(200);

    assert.equal((await request(openHarness())).status, 200);
  });

  it('reports a 403 of the object store as UNAVAILABLE, not as DENIED', async () => {
    nock('https://reg.test').get(path).times(3).reply(307, '', { location: 'https://cdn.test/' });
    nock('https://cdn.test').get('/').times(3).reply(403);

    await assert.rejects(request(openHarness()), {
      reason: 'UNAVAILABLE',
      message: 'reading: the storage that it redirects to denied access (403)',
      host: 'cdn.test',
    });
  });

  it('answers a challenge of the registry that it was redirected to with an anonymous token of that registry', async () => {
    const scope = 'repository:mirror/app:pull';
    nock('https://reg.test').get(path).reply(307, '', { location: 'https://b.test/v2/x' });
    nock('https://b.test', anonymous)
      .get('/v2/x')
      .reply(401, '', bearer('https://auth.b.test/token', `,scope="${scope}"`));
    nock('https://auth.b.test', anonymous)
      .get('/token')
      .query({ service: 'reg', scope })
      .reply(200, { token: 'anon-b' });
    nock('https://b.test', { reqheaders: { authorization: 'Bearer anon-b' } })
      .get('/v2/x')
      .reply(200, 'bytes');

    assert.equal(await textOf(await request(openHarness(known))), 'bytes');
  });

  it('caches the token of the registry that it was redirected to', async () => {
    for (const times of [1, 2]) {
      nock('https://reg.test').head(path).reply(302, '', { location: 'https://b.test/x' });
      nock('https://b.test', anonymous).head('/x').reply(401, '', bearer('https://b.test/t'));
      if (times === 1) nock('https://b.test').get('/t').query(true).reply(200, { token: 'one' });
      nock('https://b.test', { reqheaders: { authorization: 'Bearer one' } })
        .head('/x')
        .reply(200);
    }
    const harness = openHarness();

    await request(harness, 'HEAD');
    await request(harness, 'HEAD');
  });

  for (const status of [401, 403]) {
    it(`names the registry that it was redirected to when that one answers ${status} to its own token`, async () => {
      nock('https://reg.test').get(path).reply(307, '', { location: 'https://b.test/x' });
      nock('https://b.test').get('/x').reply(401, '', bearer('https://b.test/t'));
      nock('https://b.test').get('/t').query(true).reply(200, { token: 'one' });
      nock('https://b.test', { reqheaders: { authorization: 'Bearer one' } })
        .get('/x')
        .reply(status, '', bearer('https://b.test/t'));

      await assert.rejects(request(openHarness(known)), {
        reason: 'DENIED',
        status,
        host: 'b.test',
      });
    });
  }

  it('names the token server of the registry that it was redirected to when that one refuses a token', async () => {
    nock('https://reg.test').get(path).reply(307, '', { location: 'https://b.test/x' });
    nock('https://b.test').get('/x').reply(401, '', bearer('https://b.test/t'));
    nock('https://b.test', anonymous).get('/t').query(true).reply(403);

    await assert.rejects(request(openHarness(known)), { reason: 'DENIED', host: 'b.test' });
  });

  it('sends no token to a third host that the second registry redirects to', async () => {
    nock('https://reg.test').get(path).reply(307, '', { location: 'https://b.test/x' });
    nock('https://b.test').get('/x').reply(401, '', bearer('https://b.test/t'));
    nock('https://b.test').get('/t').query(true).reply(200, { token: 'one' });
    nock('https://b.test', { reqheaders: { authorization: 'Bearer one' } })
      .get('/x')
      .reply(307, '', { location: 'https://cdn.test/x' });
    nock('https://cdn.test', anonymous).get('/x').reply(200, 'bytes');

    assert.equal(await textOf(await request(openHarness(known))), 'bytes');
  });

  const realms = [
    [
      'at a private address',
      'https://10.0.0.1/t',
      'authenticating: the egress policy forbids the address',
    ],
    ['in plain http', 'http://b.test/t', 'authenticating: its token server uses plain http'],
  ] as const;
  for (const [what, realm, message] of realms) {
    it(`rejects a token server ${what} of the registry that it was redirected to`, async () => {
      nock('https://reg.test').get(path).reply(307, '', { location: 'https://b.test/x' });
      nock('https://b.test').get('/x').reply(401, '', bearer(realm));

      await assert.rejects(request(openHarness()), { reason: 'REFUSED', message });
    });
  }

  it('sends no credentials to a host that asks for a password after a redirect', async () => {
    nock('https://reg.test').get(path).reply(307, '', { location: 'https://evil.test/' });
    nock('https://evil.test', anonymous)
      .get('/')
      .reply(401, '', { 'www-authenticate': 'Basic realm="r"' });

    await assert.rejects(request(openHarness(known)), { reason: 'DENIED', host: 'evil.test' });
  });
});

describe('createTransport, plain http to a server that speaks https', () => {
  useNock();
  const url = `http://reg.test${path}`;
  const plain: HarnessOptions = { registry: 'http://reg.test', insecureRegistries: ['reg.test'] };
  const listed = {
    reason: 'UNAVAILABLE',
    message:
      'connecting to reg.test: plain http was tried because INSECURE_REGISTRIES lists it; it speaks https: remove it from the list',
  };

  const answers = [
    ['Go', 'Client sent an HTTP request to an HTTPS server.\n'],
    ['nginx', '<center>The plain HTTP request was sent to HTTPS port</center>'],
  ] as const;
  for (const [what, body] of answers) {
    it(`names INSECURE_REGISTRIES when it is a server of ${what}`, async () => {
      nock('http://reg.test').get(path).reply(400, body, { server: 'x' });

      await assert.rejects(request(openHarness(plain), 'GET', url), listed);
    });
  }

  it('names INSECURE_REGISTRIES when it answers HEAD without any header', async () => {
    nock('http://reg.test').head(path).reply(400);

    await assert.rejects(request(openHarness(plain), 'HEAD', url), listed);
  });

  it('names INSECURE_REGISTRIES when it redirects a write to https', async () => {
    nock('http://reg.test')
      .post(path)
      .reply(301, '', { location: `https://reg.test${path}` });
    const write = {
      method: 'POST',
      url: new URL(url),
      scopes: [],
      expect: [202],
      step: 'writing',
    } as const;

    await assert.rejects(openHarness(plain).send(write, signal), listed);
  });

  it('names INSECURE_REGISTRIES when it redirects a read to https and denies it there', async () => {
    nock('http://reg.test')
      .get(path)
      .reply(301, '', { location: `https://reg.test${path}` });
    nock('https://reg.test').get(path).reply(401);

    await assert.rejects(request(openHarness(plain), 'GET', url), listed);
  });

  it('follows a redirect of a read from plain http to https', async () => {
    nock('http://reg.test')
      .get(path)
      .reply(301, '', { location: `https://reg.test${path}` });
    nock('https://reg.test').get(path).reply(200, 'bytes');

    assert.equal(await textOf(await request(openHarness(plain), 'GET', url)), 'bytes');
  });

  it('does not name INSECURE_REGISTRIES if that does not list it', async () => {
    nock('http://reg.test').get(path).reply(400, answers[0][1]);

    await assert.rejects(request(openHarness({ registry: 'http://reg.test' }), 'GET', url), {
      message: 'connecting to reg.test: plain http was tried; it speaks https',
    });
  });

  it('reports another 400 to plain http as it is', async () => {
    nock('http://reg.test').get(path).reply(400, '', { server: 'x' });

    await assert.rejects(request(openHarness(plain), 'GET', url), {
      reason: 'REFUSED',
      message: 'reading: status 400',
    });
  });
});

describe('createTransport, uploads to another host', () => {
  useNock();

  it('sends no credentials with an upload to another host', async () => {
    nock('https://cdn.test', anonymous).put('/u/1?sig=x').reply(201);
    const harness = openHarness({ credentials: acme, isConfigured: true });

    const answer = await harness.send(
      {
        method: 'PUT',
        url: new URL('https://cdn.test/u/1?sig=x'),
        body: Uint8Array.of(1),
        scopes: [],
        expect: [201],
        step: 'writing',
      },
      signal,
    );

    assert.equal(answer.status, 201);
  });

  it('does not answer a challenge of another host during an upload', async () => {
    nock('https://cdn.test', anonymous)
      .put('/u/1')
      .reply(401, '', { 'www-authenticate': 'Basic realm="r"' });
    const harness = openHarness({ credentials: acme });

    const sent = harness.send(
      {
        method: 'PUT',
        url: new URL('https://cdn.test/u/1'),
        scopes: [],
        expect: [201],
        step: 'writing',
      },
      signal,
    );

    await assert.rejects(sent, { reason: 'DENIED', message: 'writing: status 401' });
  });

  it('rejects a private address for an upload to a public registry', async () => {
    const sent = openHarness().send(
      {
        method: 'PUT',
        url: new URL('https://10.0.0.1/u/1'),
        scopes: [],
        expect: [201],
        step: 'reading',
      },
      signal,
    );

    await assert.rejects(sent, { message: notCalled });
  });
});

describe('createTransport, retries', () => {
  useNock();

  for (const status of [408, 425, 429, 500, 502, 503, 504, 522]) {
    it(`retries a request after status ${status}`, async () => {
      nock('https://reg.test').get(path).reply(status, '<html>');
      nock('https://reg.test').get(path).reply(200, 'bytes');
      const harness = openHarness();

      assert.equal(await textOf(await request(harness)), 'bytes');
      assert.deepEqual(harness.pauses, [500]);
    });
  }

  for (const status of [400, 401, 403, 405, 409, 410, 412, 413, 415, 416, 501, 507]) {
    it(`does not retry a request after status ${status}`, async () => {
      nock('https://reg.test').get(path).reply(status, '');
      const harness = openHarness();

      await assert.rejects(request(harness), { name: 'RegistryError', status });
      assert.deepEqual(harness.pauses, []);
    });
  }

  it('returns a 404 that its caller expects', async () => {
    nock('https://reg.test').get(path).reply(404);

    assert.equal((await request(openHarness())).status, 404);
  });

  for (const code of ['ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EAI_AGAIN', 'UND_ERR_SOCKET']) {
    it(`retries a request after ${code}`, async () => {
      nock('https://reg.test')
        .get(path)
        .replyWithError(Object.assign(new Error('x'), { code }));
      nock('https://reg.test').get(path).reply(200, 'bytes');
      const harness = openHarness();

      assert.equal(await textOf(await request(harness)), 'bytes');
      assert.deepEqual(harness.pauses, [500]);
    });
  }

  for (const code of ['ENOTFOUND', 'CERT_HAS_EXPIRED', 'EPROTO']) {
    it(`does not retry a request after ${code}`, async () => {
      nock('https://reg.test')
        .get(path)
        .replyWithError(Object.assign(new Error('x'), { code }));

      await assert.rejects(request(openHarness()), { reason: 'UNAVAILABLE', isTransient: false });
    });
  }

  it('retries a request up to its maximum of attempts with growing pauses', async () => {
    nock('https://reg.test').get(path).times(7).reply(503);
    const harness = openHarness({ maxAttempts: 7 });

    await assert.rejects(request(harness), { reason: 'UNAVAILABLE', status: 503 });
    assert.deepEqual(harness.pauses, [500, 1_000, 2_000, 4_000, 8_000, 10_000]);
  });

  const pauses = [
    [429, '5', 5_000],
    [503, '2', 2_000],
    [429, 'Tue, 24 Nov 2026 00:00:03 GMT', 3_000],
    [503, 'Mon, 23 Nov 2026 00:00:00 GMT', 500],
    [429, '0', 500],
  ] as const;
  for (const [status, retryAfter, pause] of pauses) {
    it(`waits before the next attempt after ${status} with Retry-After: ${retryAfter}`, async () => {
      nock('https://reg.test').get(path).reply(status, '', { 'retry-after': retryAfter });
      nock('https://reg.test').get(path).reply(200, 'bytes');
      const harness = openHarness();

      assert.equal(await textOf(await request(harness)), 'bytes');
      assert.deepEqual(harness.pauses, [pause]);
    });
  }

  for (const header of ['x-retry-after', 'ratelimit-reset', 'x-ratelimit-reset']) {
    it(`reads the header ${header} if a response has no Retry-After`, async () => {
      nock('https://reg.test')
        .get(path)
        .reply(429, '', { [header]: '3' });
      nock('https://reg.test').get(path).reply(200, 'bytes');
      const harness = openHarness();

      await request(harness);

      assert.deepEqual(harness.pauses, [3_000]);
    });
  }

  it('ignores ratelimit-reset after a 503', async () => {
    nock('https://reg.test').get(path).reply(503, '', { 'ratelimit-reset': '3600' });
    nock('https://reg.test').get(path).reply(200, 'bytes');
    const harness = openHarness();

    await request(harness);

    assert.deepEqual(harness.pauses, [500]);
  });

  for (const status of [429, 503]) {
    it(`fails at once if ${status} requires a longer pause than allowed`, async () => {
      nock('https://reg.test').get(path).reply(status, '', { 'retry-after': '6' });
      const harness = openHarness();

      await assert.rejects(request(harness), {
        name: 'RegistryError',
        status,
        retryAfterMs: 6_000,
      });
      assert.deepEqual(harness.pauses, []);
    });
  }

  it('sends no request until the rate limit of the registry ends', async () => {
    nock('https://reg.test').get(path).reply(429, '', { 'retry-after': '60' });
    const harness = openHarness();
    await assert.rejects(request(harness), { reason: 'RATE_LIMITED' });

    await assert.rejects(request(harness, 'HEAD'), {
      reason: 'RATE_LIMITED',
      message: 'reading: its rate limit ends in 60 s',
    });

    harness.clock.now += 56_000;
    nock('https://reg.test').get(path).reply(200, 'bytes');
    await request(harness);
    assert.deepEqual(harness.pauses, [4_000]);
  });

  it('sends a request after five minutes of a longer rate limit of the registry', async () => {
    nock('https://reg.test').get(path).reply(429, '', { 'retry-after': '86400' });
    const harness = openHarness();
    await assert.rejects(request(harness), { reason: 'RATE_LIMITED' });
    harness.clock.now += 300_000;
    nock('https://reg.test').get(path).reply(200, 'bytes');

    assert.equal(await textOf(await request(harness)), 'bytes');
  });

  const limitedCdn = async (harness: Harness, retryAfter: string): Promise<void> => {
    nock('https://reg.test').get(path).reply(307, '', { location: 'https://cdn.test/b' });
    nock('https://cdn.test').get('/b').reply(429, '', { 'retry-after': retryAfter });
    await assert.rejects(request(harness), { reason: 'RATE_LIMITED', host: 'cdn.test' });
  };

  it('charges a rate limit to the host that a redirect led to, and still calls the registry', async () => {
    const harness = openHarness();
    await limitedCdn(harness, '60');
    nock('https://reg.test').head(path).reply(200);

    assert.equal((await request(harness, 'HEAD')).status, 200);
    assert.deepEqual(harness.pauses, []);
  });

  it('does not follow a redirect to a host before its rate limit ends, and names that host', async () => {
    const harness = openHarness();
    await limitedCdn(harness, '60');
    nock('https://reg.test').get(path).reply(307, '', { location: 'https://cdn.test/b' });

    await assert.rejects(request(harness), {
      reason: 'RATE_LIMITED',
      message: 'reading: its rate limit ends in 60 s',
      host: 'cdn.test',
      retryAfterMs: 60_000,
    });
  });

  it('waits for the end of a short rate limit of the host that a redirect leads to', async () => {
    const harness = openHarness();
    await limitedCdn(harness, '60');
    harness.clock.now += 56_000;
    nock('https://reg.test').get(path).reply(307, '', { location: 'https://cdn.test/b' });
    nock('https://cdn.test').get('/b').reply(200, 'bytes');

    assert.equal(await textOf(await request(harness)), 'bytes');
    assert.deepEqual(harness.pauses, [4_000]);
  });

  it('charges a rate limit to the registry when the registry sent it', async () => {
    nock('https://reg.test').get(path).reply(429, '', { 'retry-after': '60' });

    await assert.rejects(request(openHarness()), { reason: 'RATE_LIMITED', host: undefined });
  });

  it('retries a request whose body is bytes', async () => {
    nock('https://reg.test').put(path, 'abc').reply(503);
    nock('https://reg.test').put(path, 'abc').reply(201);

    const answer = await openHarness().send(
      {
        method: 'PUT',
        url: new URL(`https://reg.test${path}`),
        body: new TextEncoder().encode('abc'),
        scopes: [],
        expect: [201],
        step: 'writing',
      },
      signal,
    );

    assert.equal(answer.status, 201);
  });

  const once = [
    ['a failure', 503, {}],
    ['a challenge', 401, { 'www-authenticate': 'Basic realm="r"' }],
    ['a rate limit', 429, { 'retry-after': '1' }],
  ] as const;
  for (const [what, status, headers] of once) {
    it(`does not retry a request whose body is a stream after ${what}`, async () => {
      nock('https://reg.test').put(path, 'abc').reply(status, '', headers);
      let opened = 0;
      async function* body(): AsyncGenerator<Uint8Array> {
        opened += 1;
        yield await Promise.resolve(new TextEncoder().encode('abc'));
      }
      const harness = openHarness({ credentials: acme });

      const sent = harness.send(
        {
          method: 'PUT',
          url: new URL(`https://reg.test${path}`),
          headers: { 'content-length': '3' },
          body,
          scopes: [],
          expect: [201],
          step: 'writing',
        },
        signal,
      );

      await assert.rejects(sent, { name: 'RegistryError', status });
      assert.equal(opened, 1);
      assert.deepEqual(harness.pauses, []);
    });
  }

  it('leaves the query of a URL out of its error', async () => {
    nock('https://reg.test')
      .get(path)
      .reply(307, '', { location: 'https://cdn.test/b?X-Sig=5ecret' });
    nock('https://cdn.test')
      .get('/b?X-Sig=5ecret')
      .reply(400, { errors: [{ code: 'X', message: 'https://cdn.test/b?X-Sig=5ecret' }] });

    await assert.rejects(request(openHarness()), { message: 'reading: https://cdn.test/b' });
  });

  it('reads at most 64 KiB of an error response', async () => {
    nock('https://reg.test').get(path).reply(400, 'x'.repeat(70_000));

    await assert.rejects(request(openHarness()), { message: 'reading: status 400' });
  });

  it('reports every response, redirects included, with its host and status', async () => {
    nock('https://reg.test').get(path).reply(503);
    nock('https://reg.test').get(path).reply(307, '', { location: 'https://cdn.test/b' });
    nock('https://cdn.test').get('/b').reply(200, 'bytes');
    const harness = openHarness();

    await request(harness);

    assert.deepEqual(harness.answers, ['GET reg.test 503', 'GET reg.test 307', 'GET cdn.test 200']);
  });

  it('rejects a request with the abort reason of its signal', async () => {
    const reason = new Error('enough');

    await assert.rejects(
      openHarness().send(
        {
          method: 'GET',
          url: new URL(`https://reg.test${path}`),
          scopes: [],
          expect: [200],
          step: 'reading',
        },
        AbortSignal.abort(reason),
      ),
      reason,
    );
  });
});
