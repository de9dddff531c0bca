import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import nock from 'nock';
import type { RegistryResponse } from '../../../../lib/adapters/registry/client/transport.ts';
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

async function ask(
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

  it('keeps the password on the way to another path of the registry', async () => {
    const own = { reqheaders: { authorization: acmeBasic } };
    nock('https://reg.test', own).get(path).reply(307, '', { location: '/blob?sig=1' });
    nock('https://reg.test', own).get('/blob?sig=1').reply(200, 'bytes');

    const answer = await ask(openHarness(known));

    assert.equal(await textOf(answer), 'bytes');
    assert.equal(answer.url.href, 'https://reg.test/blob?sig=1');
  });

  const elsewhere = [
    ['another host', 'https://cdn.test/blob?sig=a%2Fb'],
    ['another port', 'https://reg.test:8443/blob?sig=a%2Fb'],
    ['a host below', 'https://cdn.reg.test/blob?sig=a%2Fb'],
  ] as const;
  for (const [what, location] of elsewhere) {
    for (const status of [301, 302, 303, 307, 308]) {
      it(`loses the password on the way to ${what} by a ${status}`, async () => {
        nock('https://reg.test', { reqheaders: { authorization: acmeBasic } })
          .get(path)
          .reply(status, '', { location });
        nock(new URL(location).origin, anonymous).get('/blob?sig=a%2Fb').reply(200, 'bytes');

        assert.equal(await textOf(await ask(openHarness(known))), 'bytes');
      });
    }
  }

  it('does not find the password again on the way back', async () => {
    nock('https://reg.test').get(path).reply(307, '', { location: 'https://evil.test/' });
    nock('https://evil.test', anonymous)
      .get('/')
      .reply(307, '', { location: 'https://reg.test/v2/secret' });
    nock('https://reg.test', anonymous).get('/v2/secret').reply(200, 'bytes');

    assert.equal(await textOf(await ask(openHarness(known))), 'bytes');
  });

  it('takes HEAD along', async () => {
    nock('https://reg.test').head(path).reply(307, '', { location: 'https://cdn.test/blob' });
    nock('https://cdn.test', anonymous).head('/blob').reply(200);

    assert.equal((await ask(openHarness(known), 'HEAD')).status, 200);
  });

  it('takes a range along', async () => {
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

  it('follows five times', async () => {
    for (let hop = 0; hop < 5; hop += 1) {
      nock('https://reg.test')
        .get(hop === 0 ? path : `/${hop}`)
        .reply(307, '', { location: `/${hop + 1}` });
    }
    nock('https://reg.test').get('/5').reply(200, 'bytes');

    assert.equal(await textOf(await ask(openHarness())), 'bytes');
  });

  it('does not follow a sixth time', async () => {
    nock('https://reg.test').get(path).reply(307, '', { location: path });
    nock('https://reg.test').get(path).times(5).reply(307, '', { location: path });

    await assert.rejects(ask(openHarness()), {
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
    ['to what is no address', 'https://[', 'reading: it redirects to an invalid URL'],
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
    ['to the cloud', 'https://169.254.169.254/latest/meta-data/', notCalled],
    ['to the cloud in IPv6', 'https://[fd00:ec2::254]/', notCalled],
  ] as const;
  for (const [what, location, message] of refused) {
    for (const method of ['GET', 'HEAD'] as const) {
      it(`does not follow a ${method} ${what}`, async () => {
        nock('https://reg.test').intercept(path, method).reply(307, '', { location });
        const harness = openHarness({ insideCluster: false });

        await assert.rejects(ask(harness, method), { reason: 'REFUSED', message });
        assert.deepEqual(harness.pauses, []);
      });
    }
  }

  it('follows a private registry to another private address', async () => {
    nock('https://10.0.0.1').get(path).reply(307, '', { location: 'https://10.0.0.2/blob' });
    nock('https://10.0.0.2').get('/blob').reply(200, 'bytes');
    const harness = openHarness({ registry: 'https://10.0.0.1' });

    assert.equal(await textOf(await ask(harness, 'GET', `https://10.0.0.1${path}`)), 'bytes');
  });

  it('follows nobody from a private registry over a public place to a private address', async () => {
    nock('https://10.0.0.1').get(path).reply(307, '', { location: 'https://1.1.1.1/' });
    nock('https://1.1.1.1').get('/').reply(307, '', { location: 'https://10.0.0.2/' });
    const harness = openHarness({ registry: 'https://10.0.0.1' });

    await assert.rejects(ask(harness, 'GET', `https://10.0.0.1${path}`), { message: notCalled });
  });

  it('follows a public registry to a private host that is configured, at its port only', async () => {
    const configuredHosts = ['10.0.0.1:5000'];
    nock('https://reg.test').get(path).reply(307, '', { location: 'https://10.0.0.1:5000/blob' });
    nock('https://10.0.0.1:5000', anonymous).get('/blob').reply(200, 'bytes');
    nock('https://reg.test').get(path).reply(307, '', { location: 'https://10.0.0.1:6443/api' });
    const harness = openHarness({ configuredHosts });

    assert.equal(await textOf(await ask(harness)), 'bytes');
    await assert.rejects(ask(harness), { message: notCalled });
  });

  it('calls neither loopback nor the cloud for a registry inside a cluster', async () => {
    for (const host of ['127.0.0.1:5000', 'localhost:5000', '169.254.169.254']) {
      const harness = openHarness({ registry: `https://${host}`, insideCluster: true });

      await assert.rejects(ask(harness, 'GET', `https://${host}${path}`), { message: notCalled });
    }
  });

  for (const status of [301, 302, 307, 308]) {
    it(`does not send a POST elsewhere by a ${status}`, async () => {
      nock('https://reg.test').post(path).reply(status, '', { location: 'https://evil.test/' });

      const sent = openHarness().send(
        {
          method: 'POST',
          url: new URL(`https://reg.test${path}`),
          scopes: [],
          expect: [202],
          step: 'writing',
        },
        signal,
      );

      await assert.rejects(sent, { reason: 'REFUSED', message: `writing: status ${status}` });
    });
  }

  it('asks the registry for another address where the one that it gave is refused', async () => {
    nock('https://reg.test').get(path).reply(307, '', { location: 'https://cdn.test/?sig=1' });
    nock('https://cdn.test').get('/?sig=1').reply(403, '<Error>Request has expired</Error>');
    nock('https://reg.test').get(path).reply(307, '', { location: 'https://cdn.test/?sig=2' });
    nock('https://cdn.test').get('/?sig=2').reply(200);

    assert.equal((await ask(openHarness())).status, 200);
  });

  it('does not take the word of the place that it was redirected to for the registry’s', async () => {
    nock('https://reg.test').get(path).times(3).reply(307, '', { location: 'https://cdn.test/' });
    nock('https://cdn.test').get('/').times(3).reply(403);

    await assert.rejects(ask(openHarness()), {
      reason: 'UNAVAILABLE',
      message: 'reading: the storage that it redirects to denied access (403)',
    });
  });

  it('takes no challenge from the place that it was redirected to', async () => {
    nock('https://reg.test').get(path).reply(307, '', { location: 'https://evil.test/' });
    nock('https://evil.test', anonymous).get('/').reply(401, '', bearer('https://evil.test/token'));

    await assert.rejects(ask(openHarness({ credentials: acme })), { reason: 'DENIED' });
  });
});

describe('createTransport, uploads elsewhere', () => {
  useNock();

  it('sends no password to another host', async () => {
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

  it('does not answer the challenge of another host', async () => {
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

  it('goes to no private address for a public registry', async () => {
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

describe('createTransport, repetition', () => {
  useNock();

  for (const status of [408, 425, 429, 500, 502, 503, 504, 522]) {
    it(`asks again after ${status}`, async () => {
      nock('https://reg.test').get(path).reply(status, '<html>');
      nock('https://reg.test').get(path).reply(200, 'bytes');
      const harness = openHarness();

      assert.equal(await textOf(await ask(harness)), 'bytes');
      assert.deepEqual(harness.pauses, [500]);
    });
  }

  for (const status of [400, 401, 403, 405, 409, 410, 412, 413, 415, 416, 501, 507]) {
    it(`does not ask again after ${status}`, async () => {
      nock('https://reg.test').get(path).reply(status, '');
      const harness = openHarness();

      await assert.rejects(ask(harness), { name: 'RegistryError', status });
      assert.deepEqual(harness.pauses, []);
    });
  }

  it('takes a 404 that is expected for an answer', async () => {
    nock('https://reg.test').get(path).reply(404);

    assert.equal((await ask(openHarness())).status, 404);
  });

  for (const code of ['ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EAI_AGAIN', 'UND_ERR_SOCKET']) {
    it(`asks again after ${code}`, async () => {
      nock('https://reg.test')
        .get(path)
        .replyWithError(Object.assign(new Error('x'), { code }));
      nock('https://reg.test').get(path).reply(200, 'bytes');
      const harness = openHarness();

      assert.equal(await textOf(await ask(harness)), 'bytes');
      assert.deepEqual(harness.pauses, [500]);
    });
  }

  for (const code of ['ENOTFOUND', 'CERT_HAS_EXPIRED', 'EPROTO']) {
    it(`does not ask again after ${code}`, async () => {
      nock('https://reg.test')
        .get(path)
        .replyWithError(Object.assign(new Error('x'), { code }));

      await assert.rejects(ask(openHarness()), { reason: 'UNAVAILABLE', isTransient: false });
    });
  }

  it('asks as often as it may, and waits longer each time', async () => {
    nock('https://reg.test').get(path).times(7).reply(503);
    const harness = openHarness({ maxAttempts: 7 });

    await assert.rejects(ask(harness), { reason: 'UNAVAILABLE', status: 503 });
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
    it(`waits as long as ${status} with Retry-After: ${retryAfter} wants`, async () => {
      nock('https://reg.test').get(path).reply(status, '', { 'retry-after': retryAfter });
      nock('https://reg.test').get(path).reply(200, 'bytes');
      const harness = openHarness();

      assert.equal(await textOf(await ask(harness)), 'bytes');
      assert.deepEqual(harness.pauses, [pause]);
    });
  }

  for (const header of ['x-retry-after', 'ratelimit-reset', 'x-ratelimit-reset']) {
    it(`reads ${header} where there is nothing else`, async () => {
      nock('https://reg.test')
        .get(path)
        .reply(429, '', { [header]: '3' });
      nock('https://reg.test').get(path).reply(200, 'bytes');
      const harness = openHarness();

      await ask(harness);

      assert.deepEqual(harness.pauses, [3_000]);
    });
  }

  it('takes the end of a limit for no pause where none was reached', async () => {
    nock('https://reg.test').get(path).reply(503, '', { 'ratelimit-reset': '3600' });
    nock('https://reg.test').get(path).reply(200, 'bytes');
    const harness = openHarness();

    await ask(harness);

    assert.deepEqual(harness.pauses, [500]);
  });

  for (const status of [429, 503]) {
    it(`gives up at once where ${status} wants more time than there is`, async () => {
      nock('https://reg.test').get(path).reply(status, '', { 'retry-after': '6' });
      const harness = openHarness();

      await assert.rejects(ask(harness), { name: 'RegistryError', status, retryAfterMs: 6_000 });
      assert.deepEqual(harness.pauses, []);
    });
  }

  it('leaves a registry alone for as long as a 429 wanted, whatever is asked', async () => {
    nock('https://reg.test').get(path).reply(429, '', { 'retry-after': '60' });
    const harness = openHarness();
    await assert.rejects(ask(harness), { reason: 'RATE_LIMITED' });

    await assert.rejects(ask(harness, 'HEAD'), {
      reason: 'RATE_LIMITED',
      message: 'reading: its rate limit ends in 60 s',
    });

    harness.clock.now += 56_000;
    nock('https://reg.test').get(path).reply(200, 'bytes');
    await ask(harness);
    assert.deepEqual(harness.pauses, [4_000]);
  });

  it('leaves a registry alone for five minutes at most', async () => {
    nock('https://reg.test').get(path).reply(429, '', { 'retry-after': '86400' });
    const harness = openHarness();
    await assert.rejects(ask(harness), { reason: 'RATE_LIMITED' });
    harness.clock.now += 300_000;
    nock('https://reg.test').get(path).reply(200, 'bytes');

    assert.equal(await textOf(await ask(harness)), 'bytes');
  });

  it('sends bytes again', async () => {
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
    ['a pause', 429, { 'retry-after': '1' }],
  ] as const;
  for (const [what, status, headers] of once) {
    it(`does not send a stream again after ${what}`, async () => {
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

  it('shows no query of a URL when it fails', async () => {
    nock('https://reg.test')
      .get(path)
      .reply(307, '', { location: 'https://cdn.test/b?X-Sig=5ecret' });
    nock('https://cdn.test')
      .get('/b?X-Sig=5ecret')
      .reply(400, { errors: [{ code: 'X', message: 'https://cdn.test/b?X-Sig=5ecret' }] });

    await assert.rejects(ask(openHarness()), { message: 'reading: https://cdn.test/b' });
  });

  it('reads no more than 64 KiB of an error', async () => {
    nock('https://reg.test').get(path).reply(400, 'x'.repeat(70_000));

    await assert.rejects(ask(openHarness()), { message: 'reading: status 400' });
  });

  it('tells of every answer', async () => {
    nock('https://reg.test').get(path).reply(503);
    nock('https://reg.test').get(path).reply(307, '', { location: 'https://cdn.test/b' });
    nock('https://cdn.test').get('/b').reply(200, 'bytes');
    const harness = openHarness();

    await ask(harness);

    assert.deepEqual(harness.answers, ['GET reg.test 503', 'GET reg.test 307', 'GET cdn.test 200']);
  });

  it('ends with the reason of its signal', async () => {
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
