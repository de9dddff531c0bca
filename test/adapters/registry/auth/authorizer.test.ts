import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import nock from 'nock';
import { createAuthorizer } from '../../../../lib/adapters/registry/auth/authorizer.ts';
import { createTokenBudget } from '../../../../lib/adapters/registry/auth/token-budget.ts';
import { createCooldown } from '../../../../lib/util/cooldown.ts';
import {
  acme,
  acmeBasic,
  bearer,
  type Harness,
  openHarness,
  served,
  useNock,
} from '../nock-harness.ts';

const { signal } = new AbortController();
const path = '/v2/team/app/manifests/1';
const basicChallenge = { 'www-authenticate': 'Basic realm="r"' };
const pull = 'repository:team/app:pull';

async function head({ client }: Harness, reference = '1'): Promise<string | undefined> {
  return (await client.headManifest(reference, signal))?.digest;
}

function withToken(token: string): { reqheaders: Record<string, string> } {
  return { reqheaders: { authorization: `Bearer ${token}` } };
}

/** The registry asks for a token of its token server. */
function challenge(): void {
  nock('https://reg.test').head(path).reply(401, '', bearer('https://reg.test/t'));
}

/** The token server answers one request. */
function grant(token: string, fields: Readonly<Record<string, unknown>> = {}): void {
  nock('https://reg.test')
    .get('/t')
    .query(true)
    .reply(200, { token, ...fields });
}

/** The registry answers requests with this token. */
function serve(token: string, times = 1): void {
  nock('https://reg.test', withToken(token)).head(path).times(times).reply(200, '', served.headers);
}

async function openWithToken(token: string): Promise<Harness> {
  challenge();
  grant(token);
  serve(token);
  const harness = openHarness();
  await head(harness);
  return harness;
}

describe('createAuthorizer', () => {
  useNock();
  const anonymous = { badheaders: ['authorization'] };

  it('sends no credentials to a registry without authentication', async () => {
    nock('https://reg.test', anonymous).head(path).reply(200, '', served.headers);

    assert.equal(await head(openHarness()), served.digest);
  });

  it('answers the challenge of a request when a concurrent request gets another one', async () => {
    const authorizer = createAuthorizer({
      http: {
        send: () => Promise.reject(new Error('unexpected request')),
      },
      registry: new URL('https://reg.test'),
      credentials: acme,
      now: () => 0,
      wallClock: () => 0,
      cooldown: createCooldown({ now: () => 0, maxMs: 0, maxKeys: 1 }),
      limitKey: '',
      tokenBudget: createTokenBudget(),
      isConfigured: true,
      isRedirectTarget: false,
    });

    const answer = authorizer.onChallenge({ headers: basicChallenge }, [pull], 'Bearer old');
    authorizer.onChallenge({ headers: bearer('https://evil.test/t') }, [pull], acmeBasic);

    assert.equal(await answer?.(signal), acmeBasic);
    const denied = { status: 401, headers: basicChallenge, authorization: undefined };
    assert.deepEqual(authorizer.useOf(denied), {});
  });

  it('fetches an anonymous token without credentials', async () => {
    nock('https://reg.test', anonymous)
      .head(path)
      .reply(401, '', bearer('https://auth.test/token?realm=own'));
    nock('https://auth.test', anonymous)
      .get('/token')
      .query({ realm: 'own', service: 'reg', scope: pull })
      .reply(200, { token: 'anon' });
    serve('anon');

    assert.equal(await head(openHarness()), served.digest);
  });

  it('answers a Basic challenge, and sends the credentials at once from then on', async () => {
    nock('https://reg.test', anonymous)
      .head(path)
      .reply(401, '', { 'www-authenticate': 'Basic realm="r"' });
    nock('https://reg.test', { reqheaders: { authorization: acmeBasic } })
      .head(path)
      .twice()
      .reply(200, '', served.headers);
    const harness = openHarness({ credentials: acme });

    assert.equal(await head(harness), served.digest);
    assert.equal(await head(harness), served.digest);
  });

  it('sends the password to the configured registry before a challenge', async () => {
    nock('https://reg.test', { reqheaders: { authorization: acmeBasic } })
      .head(path)
      .reply(200, '', served.headers);

    assert.equal(await head(openHarness({ credentials: acme, isConfigured: true })), served.digest);
  });

  it('sends the password to the token server of the same domain, and the token to the registry', async () => {
    nock('https://reg.example.test', anonymous)
      .head(path)
      .reply(401, '', bearer('https://auth.example.test/token'));
    nock('https://auth.example.test', { reqheaders: { authorization: acmeBasic } })
      .get('/token')
      .query({ service: 'reg', scope: pull })
      .reply(200, { access_token: 'mine' });
    nock('https://reg.example.test', withToken('mine')).head(path).reply(200, '', served.headers);

    assert.equal(
      await head(openHarness({ registry: 'https://reg.example.test', credentials: acme })),
      served.digest,
    );
  });

  it('resolves a relative realm at the registry', async () => {
    nock('https://reg.test').head(path).reply(401, '', bearer('/auth/token'));
    nock('https://reg.test', { reqheaders: { authorization: acmeBasic } })
      .get('/auth/token')
      .query({ service: 'reg', scope: pull })
      .reply(200, { token: 'mine' });
    serve('mine');

    assert.equal(await head(openHarness({ credentials: acme })), served.digest);
  });

  it('prefers Bearer among several challenges', async () => {
    nock('https://reg.test').head(path).reply(401, '', {
      'www-authenticate': 'Negotiate, Basic realm="r", Bearer realm="https://reg.test/t"',
    });
    nock('https://reg.test').get('/t').query({ scope: pull }).reply(200, { token: 'anon' });
    serve('anon');

    assert.equal(await head(openHarness()), served.digest);
  });

  it('prefers Basic if the token server of Bearer belongs to another domain', async () => {
    nock('https://reg.test')
      .head(path)
      .reply(401, '', {
        'www-authenticate': ['Bearer realm="https://evil.test/t"', 'Basic realm="r"'],
      });
    nock('https://reg.test', { reqheaders: { authorization: acmeBasic } })
      .head(path)
      .reply(200, '', served.headers);

    assert.equal(await head(openHarness({ credentials: acme })), served.digest);
  });

  it('keeps the password from the token server of another domain, and names that server in the error', async () => {
    nock('https://reg.test').head(path).reply(401, '', bearer('https://evil.test/t'));
    nock('https://evil.test', anonymous).get('/t').query(true).reply(200, { token: 'anon' });
    nock('https://reg.test', withToken('anon'))
      .head(path)
      .reply(401, '', bearer('https://evil.test/t'));

    await assert.rejects(head(openHarness({ credentials: acme })), {
      reason: 'DENIED',
      message:
        'resolving the reference: status 401; its token server evil.test belongs to another site, so the password was not sent',
      use: {
        withheld:
          'its token server evil.test belongs to another site, so the password was not sent',
      },
    });
  });

  it('says why the password was not sent when the registry answers 403 to an anonymous token', async () => {
    nock('https://reg.test').head(path).reply(401, '', bearer('https://evil.test/t'));
    nock('https://evil.test').get('/t').query(true).reply(200, { token: 'anon' });
    nock('https://reg.test', withToken('anon')).head(path).reply(403);

    await assert.rejects(head(openHarness({ credentials: acme })), {
      status: 403,
      use: {
        withheld:
          'its token server evil.test belongs to another site, so the password was not sent',
      },
    });
  });

  it('says why the password was not sent when the token server of another domain refuses a token', async () => {
    nock('https://reg.test').head(path).reply(401, '', bearer('https://evil.test/t'));
    nock('https://evil.test').get('/t').query(true).reply(403, { details: 'log in "first"' });

    await assert.rejects(head(openHarness({ credentials: acme })), {
      reason: 'DENIED',
      words: `its token server says "log in 'first'"`,
      use: {
        withheld:
          'its token server evil.test belongs to another site, so the password was not sent',
      },
    });
  });

  for (const [status, credentials] of [
    [401, 'rejected'],
    [403, 'sent'],
  ] as const) {
    it(`says "${credentials}" of a password that the registry answers with ${status}`, async () => {
      nock('https://reg.test', { reqheaders: { authorization: acmeBasic } })
        .head(path)
        .reply(status, '', basicChallenge);
      const harness = openHarness({ credentials: acme, isConfigured: true });

      await assert.rejects(head(harness), { reason: 'DENIED', use: { credentials } });
    });

    it(`says "${credentials}" of a password that the token server answers with ${status}`, async () => {
      challenge();
      nock('https://reg.test', { reqheaders: { authorization: acmeBasic } })
        .get('/t')
        .query(true)
        .reply(status, { details: 'incorrect username or password' });

      await assert.rejects(head(openHarness({ credentials: acme })), {
        reason: 'DENIED',
        message: 'authenticating: incorrect username or password',
        words: 'its token server says "incorrect username or password"',
        use: { credentials },
      });
    });

    it(`says "sent" of a password whose token the registry answers with ${status}`, async () => {
      challenge();
      grant('weak');
      nock('https://reg.test', withToken('weak'))
        .head(path)
        .reply(status, '', bearer('https://reg.test/t'));

      await assert.rejects(head(openHarness({ credentials: acme })), {
        status,
        use: { credentials: 'sent' },
      });
    });

    it(`says nothing of credentials when an anonymous client gets ${status}`, async () => {
      challenge();
      grant('anon');
      nock('https://reg.test', withToken('anon'))
        .head(path)
        .reply(status, '', bearer('https://reg.test/t'));

      await assert.rejects(head(openHarness()), { status, use: {} });
    });
  }

  it('reads a public image with an anonymous token from another domain', async () => {
    nock('https://reg.test').head(path).reply(401, '', bearer('https://other.test/t'));
    nock('https://other.test', anonymous).get('/t').query(true).reply(200, { token: 'anon' });
    serve('anon');

    assert.equal(await head(openHarness({ credentials: acme })), served.digest);
  });

  const realms = [
    ['in plain http', 'http://reg.test/t', 'authenticating: its token server uses plain http'],
    [
      'with a user',
      'https://u:p@reg.test/t',
      'authenticating: its token server has an invalid URL',
    ],
    [
      'at a metadata address',
      'https://169.254.169.254/t',
      'authenticating: the egress policy forbids the address',
    ],
    [
      'at a metadata address in hexadecimal',
      'https://0xa9fea9fe/t',
      'authenticating: the egress policy forbids the address',
    ],
    ['on loopback', 'https://127.0.0.1/t', 'authenticating: the egress policy forbids the address'],
    [
      'on loopback by name',
      'https://localhost/t',
      'authenticating: the egress policy forbids the address',
    ],
    [
      'in a private network',
      'https://10.0.0.1/t',
      'authenticating: the egress policy forbids the address',
    ],
  ] as const;
  for (const [what, realm, message] of realms) {
    it(`rejects a token server ${what}`, async () => {
      nock('https://reg.test').head(path).reply(401, '', bearer(realm));

      await assert.rejects(head(openHarness({ credentials: acme, insideCluster: false })), {
        reason: 'REFUSED',
        message,
      });
    });
  }

  it('uses a private token server for a private registry', async () => {
    nock('https://10.0.0.1').head(path).reply(401, '', bearer('https://10.0.0.2/t'));
    nock('https://10.0.0.2', anonymous).get('/t').query(true).reply(200, { token: 'anon' });
    nock('https://10.0.0.1', withToken('anon')).head(path).reply(200, '', served.headers);

    assert.equal(await head(openHarness({ registry: 'https://10.0.0.1' })), served.digest);
  });

  it('follows no redirect of a token server', async () => {
    challenge();
    nock('https://reg.test')
      .get('/t')
      .query(true)
      .reply(307, '', { location: 'https://evil.test/' });

    await assert.rejects(head(openHarness({ credentials: acme })), {
      reason: 'REFUSED',
      message: 'authenticating: status 307',
    });
  });

  it('caches a token for nine tenths of its lifetime', async () => {
    challenge();
    grant('one', { expires_in: 300 });
    serve('one', 2);
    const harness = openHarness();
    await head(harness);
    harness.clock.now += 269_999;

    await head(harness);

    grant('two', { expires_in: 300 });
    serve('two');
    harness.clock.now += 1;
    await head(harness);
  });

  it('caches a token for at least 54 seconds', async () => {
    challenge();
    grant('one', { expires_in: 1 });
    serve('one', 2);
    const harness = openHarness();
    await head(harness);
    harness.clock.now += 53_999;

    await head(harness);

    grant('two');
    serve('two');
    harness.clock.now += 1;
    await head(harness);
  });

  it('fetches a new token after the token budget evicted the old one', async () => {
    challenge();
    grant('one', { expires_in: 300 });
    serve('one');
    const tokenBudget = createTokenBudget(2_000);
    const harness = openHarness({ tokenBudget });
    await head(harness);

    tokenBudget.spend(1_400, () => undefined);

    grant('two');
    serve('two');
    await head(harness);
  });

  it('fetches one registry token for concurrent requests', async () => {
    const harness = await openWithToken('one');
    harness.clock.now += 60_000;
    nock('https://reg.test').get('/t').query(true).delay(20).reply(200, { token: 'two' });
    serve('two', 8);

    const digests = await Promise.all(Array.from({ length: 8 }, () => head(harness)));

    assert.deepEqual(new Set(digests), new Set([served.digest]));
  });

  it('fetches one new token when several requests get a 401 with the old one', async () => {
    const harness = await openWithToken('old');
    nock('https://reg.test', withToken('old'))
      .head(path)
      .times(4)
      .reply(401, '', bearer('https://reg.test/t', ',error="invalid_token"'));
    grant('new');
    serve('new', 4);

    const digests = await Promise.all(Array.from({ length: 4 }, () => head(harness)));

    assert.deepEqual(new Set(digests), new Set([served.digest]));
  });

  it('uses the new token that another request has fetched meanwhile', async () => {
    const harness = await openWithToken('old');
    const late = Promise.withResolvers<undefined>();
    nock('https://reg.test', withToken('old'))
      .head(path)
      .reply(401, '', bearer('https://reg.test/t'))
      .head('/v2/team/app/manifests/late')
      .reply(async () => {
        await late.promise;
        return [401, '', bearer('https://reg.test/t')];
      });
    grant('new');
    serve('new');
    nock('https://reg.test', withToken('new'))
      .head('/v2/team/app/manifests/late')
      .reply(200, '', served.headers);

    const second = head(harness, 'late');
    await head(harness);
    late.resolve(undefined);

    assert.equal(await second, served.digest);
  });

  it('ends with DENIED when a new token lacks the scope too', async () => {
    const challenge = bearer('https://reg.test/t', ',error="insufficient_scope"');
    nock('https://reg.test').head(path).reply(401, '', challenge);
    grant('weak');
    nock('https://reg.test', withToken('weak')).head(path).reply(401, '', challenge);
    const harness = openHarness();
    await assert.rejects(head(harness), { reason: 'DENIED', status: 401 });
    nock('https://reg.test', withToken('weak')).head(path).reply(401, '', challenge);
    grant('weaker');
    nock('https://reg.test', withToken('weaker')).head(path).reply(401, '', challenge);

    await assert.rejects(head(harness), { reason: 'DENIED', status: 401 });
  });

  const wrong = [
    ['by the registry', 'Basic realm="r"'],
    ['by the token server', 'Bearer realm="https://reg.test/t"'],
  ] as const;
  for (const [what, challenge] of wrong) {
    it(`ends with DENIED without a retry when the password is rejected ${what}`, async () => {
      const isBasic = challenge.startsWith('Basic');
      nock('https://reg.test').head(path).reply(401, '', { 'www-authenticate': challenge });
      if (isBasic) {
        nock('https://reg.test', { reqheaders: { authorization: acmeBasic } })
          .head(path)
          .reply(401, '', { 'www-authenticate': challenge });
      } else {
        nock('https://reg.test')
          .get('/t')
          .query(true)
          .reply(401, {
            errors: [{ code: 'UNAUTHORIZED', message: 'incorrect username or password' }],
          });
      }
      const harness = openHarness({ credentials: acme });

      await assert.rejects(head(harness), (error: unknown) => {
        assert.ok(error instanceof Error && 'reason' in error);
        assert.equal(error.reason, 'DENIED');
        assert.doesNotMatch(JSON.stringify(error, ['message', 'cause', 'stack']), /YWNt|c:r/);
        return true;
      });
      assert.deepEqual(harness.pauses, []);
    });
  }

  const useless = [
    [
      'HTML',
      '<html>log in</html>',
      'REFUSED',
      'authenticating: its token server sent no valid token',
    ],
    [
      'a token that would split a header',
      { token: 'a\r\nb: c' },
      'REFUSED',
      'authenticating: its token server sent no valid token',
    ],
    [
      'more than 128 KiB',
      { token: 'x'.repeat(131_072) },
      'UNSUPPORTED',
      'authenticating: the response is larger than 65536 bytes',
    ],
  ] as const;
  for (const [what, body, reason, message] of useless) {
    it(`rejects ${what} as a token`, async () => {
      challenge();
      nock('https://reg.test').get('/t').query(true).reply(200, body);

      await assert.rejects(head(openHarness()), { reason, message });
    });
  }

  it('reports a token server that answers 404 as REFUSED, not as a missing image', async () => {
    challenge();
    nock('https://reg.test').get('/t').query(true).reply(404, 'not found');

    await assert.rejects(head(openHarness()), {
      reason: 'REFUSED',
      message: 'authenticating: its token server does not exist at the URL in the challenge',
    });
  });

  it('retries a token server that answers 503', async () => {
    challenge();
    nock('https://reg.test').get('/t').query(true).reply(503, 'later');
    grant('one');
    serve('one');
    const harness = openHarness();

    assert.equal(await head(harness), served.digest);
    assert.deepEqual(harness.pauses, [500]);
  });

  it('charges a rate limit to the token server that sent it, and calls it when the limit ends', async () => {
    nock('https://reg.test').head(path).reply(401, '', bearer('https://auth.test/t'));
    nock('https://auth.test').get('/t').query(true).reply(200, { token: 'one' });
    serve('one');
    const harness = openHarness();
    await head(harness);
    harness.clock.now += 60_000;
    nock('https://auth.test').get('/t').query(true).reply(429, '', { 'retry-after': '60' });
    await assert.rejects(head(harness), { reason: 'RATE_LIMITED', host: 'auth.test' });

    await assert.rejects(head(harness), {
      reason: 'RATE_LIMITED',
      message: 'authenticating: its rate limit ends in 60 s',
      host: 'auth.test',
      retryAfterMs: 60_000,
    });

    harness.clock.now += 60_000;
    nock('https://auth.test').get('/t').query(true).reply(200, { token: 'two' });
    serve('two');
    assert.equal(await head(harness), served.digest);
  });

  it('waits for a short rate limit of the token server', async () => {
    nock('https://reg.test').head(path).reply(401, '', bearer('https://auth.test/t'));
    nock('https://auth.test').get('/t').query(true).reply(429, '', { 'retry-after': '3' });
    nock('https://auth.test').get('/t').query(true).reply(200, { token: 'one' });
    serve('one');
    const harness = openHarness();

    assert.equal(await head(harness), served.digest);
    assert.deepEqual(harness.pauses, [3_000]);
  });

  /** A token that two requests have used. */
  async function openWithReusedToken(): Promise<Harness> {
    const harness = await openWithToken('old');
    serve('old');
    await head(harness);
    return harness;
  }

  function reject400(token: string, times = 1): void {
    nock('https://reg.test', withToken(token)).head(path).times(times).reply(400);
  }

  it('fetches a new token when the registry answers 400 to one that it accepted before', async () => {
    const harness = await openWithReusedToken();
    reject400('old');
    grant('new');
    serve('new', 2);

    assert.equal(await head(harness), served.digest);
    assert.equal(await head(harness), served.digest);
  });

  it('fetches one new token when several requests get a 400 with the old one', async () => {
    const harness = await openWithReusedToken();
    reject400('old', 4);
    grant('new');
    serve('new', 4);

    const digests = await Promise.all(Array.from({ length: 4 }, () => head(harness)));

    assert.deepEqual(new Set(digests), new Set([served.digest]));
  });

  it('ends with a 400 that the registry answers to the new token as well', async () => {
    const harness = await openWithReusedToken();
    reject400('old');
    grant('new');
    reject400('new');

    await assert.rejects(head(harness), { reason: 'REFUSED', status: 400 });
  });

  it('ends with a 400 to a token that no request has used before', async () => {
    challenge();
    grant('one');
    reject400('one');

    await assert.rejects(head(openHarness()), { status: 400 });
  });

  it('ends with a 400 to a token that replaced an expired one', async () => {
    const harness = await openWithToken('old');
    harness.clock.now += 60_000;
    grant('new');
    reject400('new');

    await assert.rejects(head(harness), { status: 400 });
  });

  it('ends with a 400 to a password or to no credentials', async () => {
    nock('https://reg.test').head(path).twice().reply(400);

    await assert.rejects(head(openHarness({ credentials: acme, isConfigured: true })), {
      status: 400,
    });
    await assert.rejects(head(openHarness()), { status: 400 });
  });

  it('does not repeat a stream after a 400 with an old token', async () => {
    const uploads = '/v2/team/app/blobs/uploads/';
    nock('https://reg.test').post(uploads).reply(401, '', bearer('https://reg.test/t'));
    grant('old', { expires_in: 300 });
    nock('https://reg.test', withToken('old'))
      .post(uploads)
      .twice()
      .reply(202, '', { location: `${uploads}1` });
    nock('https://reg.test', withToken('old')).put(`${uploads}1`).query(true).reply(400);
    const { client } = openHarness();
    await client.startUpload(signal);
    const session = await client.startUpload(signal);
    async function* body(): AsyncGenerator<Uint8Array> {
      yield await Promise.resolve(Uint8Array.of(1));
    }
    const descriptor = { mediaType: 'x', digest: served.digest, size: 1 };

    await assert.rejects(client.finishUpload(session, descriptor, body, signal), { status: 400 });
  });

  const manifest = '/v2/team/app/manifests/sha256:';
  const digestOf = (letter: string): string => `sha256:${letter.repeat(64)}`;
  const deletion = { service: 'reg', scope: 'repository:team/app:pull,delete' };
  const push = { service: 'reg', scope: 'repository:team/app:pull,push' };

  for (const status of [400, 404, 422]) {
    it(`asks for the scope pull,push once the token server answers ${status} to pull,delete, and remembers that`, async () => {
      nock('https://reg.test')
        .delete(/manifests/)
        .reply(401, '', bearer('https://reg.test/t'));
      nock('https://reg.test').get('/t').query(deletion).reply(status, 'unknown action');
      nock('https://reg.test').get('/t').query(push).reply(200, { token: 'one' });
      nock('https://reg.test', withToken('one'))
        .delete(`${manifest}${'a'.repeat(64)}`)
        .reply(202)
        .delete(`${manifest}${'b'.repeat(64)}`)
        .reply(202);
      const harness = openHarness();
      await harness.client.deleteManifest(digestOf('a'), signal);
      await harness.client.deleteManifest(digestOf('b'), signal);

      harness.clock.now += 60_000;
      nock('https://reg.test').get('/t').query(push).reply(200, { token: 'two' });
      nock('https://reg.test', withToken('two'))
        .delete(/manifests/)
        .reply(202);
      await harness.client.deleteManifest(digestOf('c'), signal);
    });
  }

  it('asks for the scope pull,push to cancel an upload if the token server rejects pull,push,delete', async () => {
    const location = new URL('https://reg.test/v2/team/app/blobs/uploads/1');
    nock('https://reg.test')
      .delete(/uploads/)
      .reply(401, '', bearer('https://reg.test/t'));
    const scope = 'repository:team/app:pull,push,delete';
    nock('https://reg.test').get('/t').query({ service: 'reg', scope }).reply(400);
    nock('https://reg.test').get('/t').query(push).reply(200, { token: 'one' });
    nock('https://reg.test', withToken('one'))
      .delete(/uploads/)
      .reply(204);

    await openHarness().client.cancelUpload({ location });
  });

  for (const status of [401, 403, 429]) {
    it(`does not ask for another scope after the token server answers ${status} to pull,delete`, async () => {
      nock('https://reg.test')
        .delete(/manifests/)
        .reply(401, '', bearer('https://reg.test/t'));
      nock('https://reg.test').get('/t').query(deletion).reply(status, '', { 'retry-after': '60' });

      await assert.rejects(openHarness().client.deleteManifest(digestOf('a'), signal), { status });
    });
  }

  it('ends with the error of the token server when it rejects pull,push too', async () => {
    nock('https://reg.test')
      .delete(/manifests/)
      .reply(401, '', bearer('https://reg.test/t'));
    nock('https://reg.test').get('/t').query(deletion).reply(400);
    nock('https://reg.test').get('/t').query(push).reply(400);

    await assert.rejects(openHarness().client.deleteManifest(digestOf('a'), signal), {
      reason: 'REFUSED',
      message: 'authenticating: status 400',
    });
  });

  it('does not ask a token server again that rejects the scope pull', async () => {
    challenge();
    nock('https://reg.test').get('/t').query(true).reply(400);

    await assert.rejects(head(openHarness()), { message: 'authenticating: status 400' });
  });

  const hidden = [
    [404, 'Bearer', { 'www-authenticate': 'Bearer realm="https://reg.test/t",service="reg"' }],
    [403, 'Bearer', { 'www-authenticate': 'Bearer realm="https://reg.test/t",service="reg"' }],
    [404, 'Basic', basicChallenge],
  ] as const;
  for (const [status, scheme, headers] of hidden) {
    it(`asks /v2/ once for its ${scheme} challenge when the registry hides an image by ${status}, and sends the credentials`, async () => {
      nock('https://reg.test', anonymous).head(path).reply(status);
      nock('https://reg.test', anonymous).get('/v2/').reply(401, '', headers);
      if (scheme === 'Bearer') {
        nock('https://reg.test', { reqheaders: { authorization: acmeBasic } })
          .get('/t')
          .query({ service: 'reg', scope: pull })
          .reply(200, { token: 'mine' });
      }
      const authorization = scheme === 'Bearer' ? 'Bearer mine' : acmeBasic;
      nock('https://reg.test', { reqheaders: { authorization } })
        .head(path)
        .twice()
        .reply(200, '', served.headers);
      const harness = openHarness({ credentials: acme });

      assert.equal(await head(harness), served.digest);
      assert.equal(await head(harness), served.digest);
    });
  }

  it('asks /v2/ once for several requests that get a 404', async () => {
    nock('https://reg.test', anonymous).head(path).times(4).reply(404);
    nock('https://reg.test', anonymous).get('/v2/').reply(401, '', basicChallenge);
    nock('https://reg.test', { reqheaders: { authorization: acmeBasic } })
      .head(path)
      .times(4)
      .reply(200, '', served.headers);
    const harness = openHarness({ credentials: acme });

    const digests = await Promise.all(Array.from({ length: 4 }, () => head(harness)));

    assert.deepEqual(new Set(digests), new Set([served.digest]));
  });

  it('does not ask /v2/ again if it needs no credentials', async () => {
    nock('https://reg.test', anonymous).head(path).twice().reply(404);
    nock('https://reg.test', anonymous).get('/v2/').reply(200);
    const harness = openHarness({ credentials: acme });

    assert.equal(await head(harness), undefined);
    assert.equal(await head(harness), undefined);
  });

  it('takes a 404 as it is if /v2/ fails, and asks again at the next one', async () => {
    nock('https://reg.test', anonymous).head(path).twice().reply(404);
    nock('https://reg.test', anonymous).get('/v2/').reply(503);
    nock('https://reg.test', anonymous).get('/v2/').reply(401, '', basicChallenge);
    nock('https://reg.test', { reqheaders: { authorization: acmeBasic } })
      .head(path)
      .reply(404);
    const harness = openHarness({ credentials: acme });

    assert.equal(await head(harness), undefined);
    assert.equal(await head(harness), undefined);
  });

  it('takes a 404 of an image that the credentials do not show as it is', async () => {
    nock('https://reg.test', anonymous).head(path).reply(404);
    nock('https://reg.test', anonymous).get('/v2/').reply(401, '', basicChallenge);
    nock('https://reg.test', { reqheaders: { authorization: acmeBasic } })
      .head(path)
      .reply(404);

    assert.equal(await head(openHarness({ credentials: acme })), undefined);
  });

  it('does not ask /v2/ for an anonymous client', async () => {
    nock('https://reg.test', anonymous).head(path).reply(404);

    assert.equal(await head(openHarness()), undefined);
  });

  const identity = { username: '<token>', password: 's3cret+id', isIdentityToken: true } as const;
  const grantForm =
    'grant_type=refresh_token&service=reg&client_id=image-cloner&scope=repository%3Ateam%2Fapp%3Apull&refresh_token=s3cret%2Bid';

  it('exchanges an identity token by the refresh-token grant, and caches the token', async () => {
    challenge();
    nock('https://reg.test', {
      badheaders: ['authorization'],
      reqheaders: { 'content-type': 'application/x-www-form-urlencoded' },
    })
      .post('/t', grantForm)
      .reply(200, { access_token: 'mine', refresh_token: 'next' });
    serve('mine', 2);
    const harness = openHarness({ credentials: identity });

    assert.equal(await head(harness), served.digest);
    assert.equal(await head(harness), served.digest);
  });

  it('sends both scopes of a mount in one field of the refresh-token grant', async () => {
    nock('https://reg.test')
      .post(/uploads/)
      .reply(401, '', bearer('https://reg.test/t'));
    const scope = 'repository:team/app:pull,push repository:other/app:pull';
    nock('https://reg.test')
      .post('/t', (form: { readonly scope?: string }) => form.scope === scope)
      .reply(200, { access_token: 'mine' });
    nock('https://reg.test', withToken('mine'))
      .post(/uploads/)
      .reply(201);
    const { client } = openHarness({ credentials: identity });

    const from = { path: 'other/app', digest: served.digest };
    assert.equal(await client.mountBlob(from, signal), 'mounted');
  });

  for (const status of [404, 405]) {
    it(`says that the token server takes no identity tokens when it answers ${status} to the grant`, async () => {
      challenge();
      nock('https://reg.test').post('/t').reply(status);

      await assert.rejects(head(openHarness({ credentials: identity })), {
        reason: 'REFUSED',
        message: `authenticating: its token server does not accept identity tokens (${status}); put a username and a password into SOURCE_AUTH_FILE`,
      });
    });
  }

  for (const status of [400, 401]) {
    it(`reports an identity token that the token server rejects by ${status} as DENIED, without the token`, async () => {
      challenge();
      nock('https://reg.test')
        .post('/t')
        .reply(status, { error: 'invalid_grant', error_description: 's3cret+id has expired' });

      await assert.rejects(head(openHarness({ credentials: identity })), {
        reason: 'DENIED',
        message: 'authenticating: … has expired',
        words: 'its token server says "… has expired"',
        use: { credentials: 'rejected' },
      });
    });
  }

  it('keeps an identity token from the token server of another domain', async () => {
    nock('https://reg.test').head(path).reply(401, '', bearer('https://evil.test/t'));
    nock('https://evil.test', anonymous).get('/t').query(true).reply(200, { token: 'anon' });
    nock('https://reg.test', withToken('anon')).head(path).reply(403);

    await assert.rejects(head(openHarness({ credentials: identity })), {
      reason: 'DENIED',
      use: {
        withheld:
          'its token server evil.test belongs to another site, so the identity token was not sent',
      },
    });
  });

  it('does not send an identity token as a password', async () => {
    nock('https://reg.test', anonymous).head(path).reply(401, '', basicChallenge);

    await assert.rejects(head(openHarness({ credentials: identity })), {
      reason: 'DENIED',
      use: { withheld: 'it requires a password, so the identity token was not sent' },
    });
  });

  const mute = [
    ['a 401 without a challenge', {}],
    ['a challenge of an unknown scheme', { 'www-authenticate': 'Negotiate' }],
    ['a challenge without a realm', { 'www-authenticate': 'Bearer service="reg"' }],
    ['a Basic challenge without credentials', { 'www-authenticate': 'Basic realm="r"' }],
  ] as const;
  for (const [what, headers] of mute) {
    it(`does not retry a request after ${what}`, async () => {
      nock('https://reg.test').head(path).reply(401, '', headers);

      await assert.rejects(head(openHarness()), { reason: 'DENIED', status: 401 });
    });
  }

  it('drops a challenge whose token server it rejects', async () => {
    const inside = 'http://169.254.169.254/t';
    nock('http://reg.test').head(path).reply(401, '', bearer(inside));
    const harness = openHarness({ registry: 'http://reg.test' });
    await assert.rejects(head(harness), { name: 'RegistryError', reason: 'REFUSED' });
    nock('http://reg.test', anonymous).head(path).reply(200, '', served.headers);

    assert.equal(await head(harness), served.digest);
  });

  it('drops the challenge after its token server fails, and waits for a new one', async () => {
    nock('https://reg.test').head(path).reply(401, '', bearer('https://old.test/t'));
    nock('https://old.test').get('/t').query(true).reply(200, { token: 'one' });
    serve('one');
    const harness = openHarness();
    await head(harness);
    harness.clock.now += 60_000;
    nock('https://old.test').get('/t').query(true).reply(404);
    await assert.rejects(head(harness), { name: 'RegistryError', reason: 'REFUSED' });
    nock('https://reg.test', anonymous).head(path).reply(401, '', bearer('https://new.test/t'));
    nock('https://new.test').get('/t').query(true).reply(200, { token: 'two' });
    serve('two');

    assert.equal(await head(harness), served.digest);
  });

  it('requests a token with both scopes to mount a blob', async () => {
    const digest = served.digest;
    nock('https://reg.test')
      .post('/v2/team/app/blobs/uploads/')
      .query(true)
      .reply(401, '', bearer('https://reg.test/t'));
    nock('https://reg.test')
      .get('/t')
      .query({
        service: 'reg',
        scope: ['repository:team/app:pull,push', 'repository:other/app:pull'],
      })
      .reply(200, { token: 'both' });
    nock('https://reg.test', withToken('both'))
      .post('/v2/team/app/blobs/uploads/')
      .query({ mount: digest, from: 'other/app' })
      .reply(201);

    assert.equal(
      await openHarness().client.mountBlob({ path: 'other/app', digest }, signal),
      'mounted',
    );
  });

  it('aborts the wait for a token only for the request whose signal is aborted', async () => {
    const harness = await openWithToken('one');
    harness.clock.now += 60_000;
    nock('https://reg.test').get('/t').query(true).delay(30).reply(200, { token: 'two' });
    serve('two');
    const leaving = new AbortController();
    const reason = new Error('enough');

    const first = harness.client.headManifest('1', leaving.signal);
    const second = head(harness);
    leaving.abort(reason);

    await assert.rejects(first, reason);
    assert.equal(await second, served.digest);
  });
});
