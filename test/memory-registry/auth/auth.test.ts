import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as v from 'valibot';
import type { MemoryRegistry } from '../../../lib/memory-registry/index.ts';
import { codeOf, createSample, digests } from '../sample.ts';

const users = { ann: 'pa:ss', bob: 'secret' };
const isPublic = (repository: string): boolean => repository === 'app';
const anonymous: Readonly<Record<string, string>> = {};

function basic(name: string, password: string): Readonly<Record<string, string>> {
  return { authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}` };
}

function bearer(token: string): Readonly<Record<string, string>> {
  return { authorization: `Bearer ${token}` };
}

function allows(user: string, _repository: string, action: string): boolean {
  return user === 'ann' || action === 'pull';
}

describe('basic authentication of a memory registry', () => {
  const rows = [
    {
      title: 'challenges an anonymous request',
      request: 'GET /v2/',
      headers: anonymous,
      status: 401,
      code: 'UNAUTHORIZED',
    },
    {
      title: 'accepts a password that contains a colon',
      request: 'GET /v2/',
      headers: basic('ann', 'pa:ss'),
      status: 200,
      code: '',
    },
    {
      title: 'rejects a wrong password',
      request: 'GET /v2/',
      headers: basic('ann', 'pa'),
      status: 401,
      code: 'UNAUTHORIZED',
    },
    {
      title: 'rejects a bearer token under basic authentication',
      request: 'GET /v2/',
      headers: bearer('x'),
      status: 401,
      code: 'UNAUTHORIZED',
    },
    {
      title: 'allows an anonymous pull from a public repository',
      request: 'GET /v2/app/manifests/1',
      headers: anonymous,
      status: 200,
      code: '',
    },
    {
      title: 'rejects a wrong password even for a public repository',
      request: 'GET /v2/app/manifests/1',
      headers: basic('eve', 'x'),
      status: 401,
      code: 'UNAUTHORIZED',
    },
    {
      title: 'rejects an anonymous push to a public repository',
      request: 'POST /v2/app/blobs/uploads/',
      headers: anonymous,
      status: 401,
      code: 'UNAUTHORIZED',
    },
    {
      title: 'rejects an anonymous pull from a private repository',
      request: 'GET /v2/own/tags/list',
      headers: anonymous,
      status: 401,
      code: 'UNAUTHORIZED',
    },
    {
      title: 'allows a user to push',
      request: 'POST /v2/own/blobs/uploads/',
      headers: basic('ann', 'pa:ss'),
      status: 202,
      code: '',
    },
    {
      title: 'denies a push with 403 to a user who may only pull',
      request: 'POST /v2/own/blobs/uploads/',
      headers: basic('bob', 'secret'),
      status: 403,
      code: 'DENIED',
    },
    {
      title: 'rejects an anonymous request for the catalog',
      request: 'GET /v2/_catalog',
      headers: anonymous,
      status: 401,
      code: 'UNAUTHORIZED',
    },
  ];
  for (const { title, request, headers, status, code } of rows) {
    it(title, async () => {
      const { app } = createSample({ auth: { scheme: 'basic', users, isPublic, allows } });
      const [method = '', path = ''] = request.split(' ');

      const response = await app.request(path, { method, headers });

      assert.equal(response.status, status);
      assert.equal(await codeOf(response), code);
      assert.equal(
        response.headers.get('www-authenticate'),
        status === 401 ? 'Basic realm="memory-registry"' : null,
      );
    });
  }
});

const tokenSchema = v.object({
  token: v.string(),
  access_token: v.string(),
  expires_in: v.number(),
  issued_at: v.string(),
  refresh_token: v.optional(v.string(), ''),
});

function createGuarded(now: () => number = () => 0): MemoryRegistry {
  return createSample({ auth: { scheme: 'bearer', users, isPublic }, now });
}

async function fetchToken(
  { app }: MemoryRegistry,
  query: string,
  init: RequestInit = {},
): Promise<v.InferOutput<typeof tokenSchema>> {
  const response = await app.request(`/token?service=memory-registry${query}`, init);
  assert.equal(response.status, 200);
  return v.parse(tokenSchema, await response.json());
}

describe('bearer authentication of a memory registry', () => {
  const challenges = [
    { request: 'GET /v2/', scope: '' },
    { request: 'GET /v2/app/manifests/1', scope: ',scope="repository:app:pull"' },
    { request: `HEAD /v2/a/b/blobs/${digests.layer}`, scope: ',scope="repository:a/b:pull"' },
    { request: 'POST /v2/app/blobs/uploads/', scope: ',scope="repository:app:pull,push"' },
    {
      request: `POST /v2/app/blobs/uploads/?mount=${digests.layer}&from=base`,
      scope: ',scope="repository:app:pull,push repository:base:pull"',
    },
    {
      request: `DELETE /v2/app/manifests/${digests.manifest}`,
      scope: ',scope="repository:app:delete"',
    },
    { request: 'GET /v2/_catalog', scope: ',scope="registry:catalog:*"' },
  ];
  for (const { request, scope } of challenges) {
    it(`challenges ${request.split('?')[0]?.slice(0, 30)} with the scope that it needs`, async () => {
      const [method = '', path = ''] = request.split(' ');

      const response = await createGuarded().app.request(path, { method });

      assert.equal(response.status, 401);
      assert.equal(
        response.headers.get('www-authenticate'),
        `Bearer realm="http://localhost/token",service="memory-registry"${scope}`,
      );
    });
  }

  it('grants an anonymous token only pull access to a public repository', async () => {
    const registry = createGuarded();

    const { token, access_token, expires_in, issued_at } = await fetchToken(
      registry,
      '&scope=repository:app:pull,push&scope=repository:own:pull',
    );
    const pull = await registry.app.request('/v2/app/manifests/1', { headers: bearer(token) });
    const push = await registry.app.request('/v2/app/blobs/uploads/', {
      method: 'POST',
      headers: bearer(token),
    });
    const other = await registry.app.request('/v2/own/tags/list', { headers: bearer(token) });

    assert.equal(access_token, token);
    assert.deepEqual([expires_in, issued_at], [300, '1970-01-01T00:00:00.000Z']);
    assert.deepEqual([pull.status, push.status, other.status], [200, 401, 401]);
    assert.match(push.headers.get('www-authenticate') ?? '', /,error="insufficient_scope"$/);
    assert.deepEqual(
      registry.tokens?.list().map(({ user, requested }) => [user, requested]),
      [[undefined, ['repository:app:pull,push', 'repository:own:pull']]],
    );
  });

  it('grants a user pull and push, which do not include cancelling an upload', async () => {
    const registry = createGuarded();

    const { token } = await fetchToken(registry, '&scope=repository:own:pull,push', {
      headers: basic('ann', 'pa:ss'),
    });
    const push = await registry.app.request('/v2/own/blobs/uploads/', {
      method: 'POST',
      headers: bearer(token),
    });
    const cancelled = await registry.app.request(push.headers.get('location') ?? '', {
      method: 'DELETE',
      headers: bearer(token),
    });

    assert.equal(push.status, 202);
    // As in distribution, cancelling needs the delete action.
    assert.equal(cancelled.status, 401);
  });

  it('rejects a token after its lifetime', async () => {
    let now = 0;
    const registry = createGuarded(() => now);
    const { token } = await fetchToken(registry, '&scope=repository:app:pull');

    now = 300_000;
    const response = await registry.app.request('/v2/app/manifests/1', { headers: bearer(token) });

    assert.equal(response.status, 401);
    assert.match(response.headers.get('www-authenticate') ?? '', /,error="invalid_token"$/);
  });

  it('rejects every token after the memory registry expires its tokens', async () => {
    const registry = createGuarded();
    const { token } = await fetchToken(registry, '&scope=repository:app:pull');

    registry.tokens?.expire();
    const response = await registry.app.request('/v2/app/manifests/1', { headers: bearer(token) });

    assert.equal(response.status, 401);
  });

  it('issues no token for a wrong password or another service', async () => {
    const { app } = createGuarded();

    const wrong = await app.request('/token?service=memory-registry', {
      headers: basic('ann', 'x'),
    });
    const elsewhere = await app.request('/token?service=other');

    assert.deepEqual([wrong.status, await codeOf(wrong)], [401, 'UNAUTHORIZED']);
    assert.equal(elsewhere.status, 400);
  });

  it('issues a token for a refresh token', async () => {
    const registry = createGuarded();
    const first = await fetchToken(registry, '&offline_token=true', {
      headers: basic('bob', 'secret'),
    });
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: first.refresh_token,
      service: 'memory-registry',
      scope: 'repository:own:pull repository:app:pull,push',
    });

    await fetchToken(registry, '', { method: 'POST', body: form });
    form.set('refresh_token', 'unknown');
    const refused = await registry.app.request('/token', { method: 'POST', body: form });

    assert.deepEqual(registry.tokens?.list().at(-1)?.user, 'bob');
    assert.deepEqual(registry.tokens?.list().at(-1)?.requested, [
      'repository:own:pull',
      'repository:app:pull,push',
    ]);
    assert.equal(refused.status, 401);
  });

  it('sends challenges with a configured realm', async () => {
    const { app } = createSample({
      auth: { scheme: 'bearer', users, realm: () => 'https://auth.test/token', service: 's' },
    });

    const response = await app.request('/v2/');

    assert.equal(
      response.headers.get('www-authenticate'),
      'Bearer realm="https://auth.test/token",service="s"',
    );
  });
});
