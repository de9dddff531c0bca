import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import nock from 'nock';
import { createClientPool } from '../../../../lib/adapters/registry/client/client-pool.ts';
import { createHttp } from '../../../../lib/adapters/registry/http/http.ts';
import type { Credentials } from '../../../../lib/index.ts';
import { acme, served, useNock } from '../nock-harness.ts';

const { signal } = new AbortController();
const retryPolicy = { maxAttempts: 1, maxRetryAfterMs: 0 };

function open(): {
  readonly clock: { now: number };
  readonly head: (path: string, credentials?: Credentials) => Promise<string | undefined>;
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
    head: async (path, credentials) => {
      const access = { side: 'source', credentials } as const;
      const repository = { domain: 'reg.test', path };
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
});
