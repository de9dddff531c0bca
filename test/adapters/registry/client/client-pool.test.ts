import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import nock from 'nock';
import { createClientPool } from '../../../../lib/adapters/registry/client/client-pool.ts';
import { createHttp } from '../../../../lib/adapters/registry/http/http.ts';
import type { Credentials } from '../../../../lib/index.ts';
import { acme, bearer, served, useNock } from '../nock-harness.ts';

const { signal } = new AbortController();
const retryPolicy = { maxAttempts: 1, maxRetryAfterMs: 0 };

function open(): {
  readonly clock: { now: number };
  readonly head: (
    path: string,
    credentials?: Credentials,
    domain?: string,
  ) => Promise<string | undefined>;
} {
  const clock = { now: 0 };
  const openRepository = createClientPool({
    http: createHttp({ configuredHosts: [], insideCluster: true }),
    findEndpoint: (domain) => Promise.resolve(new URL(`https://${domain}`)),
    now: () => clock.now,
    sleep: () => Promise.resolve(),
  });
  return {
    clock,
    head: async (path, credentials, domain = 'reg.test') => {
      const access = { side: 'source', credentials } as const;
      const repository = { domain, path };
      const client = await openRepository(repository, access, retryPolicy, signal);
      return (await client.headManifest('1', signal))?.digest;
    },
  };
}

describe('createClientPool', () => {
  useNock();
  const limit = { 'retry-after': '86400' };

  it('shares a rate limit between the repositories of a registry, but not with other credentials', async () => {
    nock('https://reg.test').head('/v2/a/manifests/1').reply(429, '', limit);
    nock('https://reg.test').head('/v2/b/manifests/1').reply(200, '', served.headers);
    const { head } = open();
    await assert.rejects(head('a'), { reason: 'RATE_LIMITED' });

    await assert.rejects(head('b'), { reason: 'RATE_LIMITED' });
    assert.equal(await head('b', acme), served.digest);
  });

  it('calls a registry again after five minutes, however long its rate limit is', async () => {
    nock('https://reg.test').head('/v2/a/manifests/1').reply(429, '', limit);
    nock('https://reg.test').head('/v2/a/manifests/1').reply(200, '', served.headers);
    const { head, clock } = open();
    await assert.rejects(head('a'), { reason: 'RATE_LIMITED' });
    clock.now += 299_999;
    await assert.rejects(head('a'), { reason: 'RATE_LIMITED' });
    clock.now += 1;

    assert.equal(await head('a'), served.digest);
  });

  it('shares the anonymous token of a redirect target between the registries that redirect there', async () => {
    for (const host of ['reg.test', 'other.test']) {
      nock(`https://${host}`)
        .head('/v2/a/manifests/1')
        .reply(307, '', { location: 'https://b.test/x' });
      nock('https://b.test').head('/x').reply(401, '', bearer('https://b.test/t'));
      nock('https://b.test', { reqheaders: { authorization: 'Bearer one' } })
        .head('/x')
        .reply(200, '', served.headers);
    }
    nock('https://b.test', { badheaders: ['authorization'] })
      .get('/t')
      .query(true)
      .reply(200, { token: 'one' });
    const { head } = open();

    assert.equal(await head('a', acme), served.digest);
    assert.equal(await head('a', acme, 'other.test'), served.digest);
  });
});
